"""What devices and people put into the page, in a real browser: hostile texts, a token, and no JavaScript."""

from __future__ import annotations

from urllib.parse import quote

from rig.browser import ENTER, Page
from rig.selection import OTHER_WAYS, only_in_all
from rig.stage import OK, PROTECTED

from .page_case import UUIDS, PageCase

CLICKS = 10
RUN = "window.hacked=1"
HOSTILE = [
    f"<img src=x onerror={RUN}>",
    f'"autofocus onfocus={RUN} x="',
    f"'><svg onload={RUN}>",
    f"javascript:{RUN}",
    "{{7*7}}${7*7}&lt;b&gt;",
    "\u202eeno emosdnah",
    "m" * 300,
    "设备 %00&uuid=d1",
]
PAYLOADS = [
    f"</script><script>{RUN}</script>",
    f"</pre></details><img src=x onerror={RUN}>",
    "\u2028\u202e\x01{",
    "[" * 9000,
]
FOREIGN = """
    return [...document.querySelectorAll('*')].filter(each =>
        ['img', 'iframe', 'object', 'base', 'style'].includes(each.localName)
        || each.localName === 'script' && each.getAttribute('src') !== '/page.js'
        || [...each.attributes].some(({name}) => name.startsWith('on'))
        || /^javascript:/i.test(each.href ?? each.action ?? '')
    ).map(each => each.outerHTML)
"""
ASKED = "document.getElementById('answer') && new URLSearchParams(location.search).get('uuid') === arguments[0]"


class PageInputTests(PageCase):
    def test_what_devices_send_runs_nothing_and_breaks_nothing(self) -> None:
        stage = self.set_stage()
        page = self.open(stage, "en")
        for device, payload in zip(UUIDS[10:], PAYLOADS, strict=False):
            stage.publish((f"devices/{device}/data", payload), *((f"devices/{uuid}/data", "{}") for uuid in HOSTILE))
            page.until("document.querySelector('[data-part=refusals]').innerText.includes(arguments[0])", device)
            page.until("document.querySelector('[data-part=strangers]').innerText.includes(arguments[0])", HOSTILE[0])
            self.assert_harmless(page)
        self.assertNotIn("\u202e", page.script("return document.documentElement.textContent"))
        page.script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        self.assert_fits(page)
        self.assertEqual(page.accessibility(), [])
        for uuid in HOSTILE:
            page.click("#uuid")
            page.script("document.getElementById('uuid').value = arguments[0]", uuid)
            page.press(ENTER)
            page.until(ASKED, uuid)
            self.assert_harmless(page)
            self.assert_fits(page)
        page.go(f"{stage.address('')}{quote(HOSTILE[0])}&uuid={quote(HOSTILE[1])}&devices={quote(HOSTILE[2])}")
        self.assert_harmless(page)

    def assert_harmless(self, page: Page) -> None:
        self.assertFalse(page.script("return 'hacked' in window"))
        self.assertEqual(page.script(FOREIGN), [])
        self.assertEqual(page.complaints(), [])

    @only_in_all(OTHER_WAYS)
    def test_without_javascript_it_is_all_there_and_renews_itself(self) -> None:
        stage = self.set_stage()
        page = self.open(stage, "zh", javascript=False)
        self.assertIn("正常", page.text("#bar"))
        with stage.database_away():
            page.until("document.getElementById('bar').innerText.includes(arguments[0])", "保护中")
            self.assertEqual(page.script("return document.documentElement.dataset.state"), PROTECTED)
        page.until("document.getElementById('bar').innerText.includes(arguments[0])", "正常")
        self.assert_fits(page)
        for _ in range(CLICKS):  # as it may renew itself in between
            page.click("label[for=span-long]")
            if page.script("return document.querySelector('.chart.long').checkVisibility()"):
                break
        else:
            self.fail("the other chart was never shown")
        stage.publish(("devices/d7/data", "{}"))
        page.go(stage.address("zh", uuid="d7"))
        self.assertIn("d7", page.text("#answer"))
        self.assertEqual(page.complaints(), [])

    @only_in_all(OTHER_WAYS)
    def test_with_a_token_devices_are_shown_to_whoever_knows_it(self) -> None:
        stage = self.set_stage(HTTP_TOKEN="long-enough.for~a/token")
        page = self.open(stage, "en")
        self.assertIn("OK", page.text("#bar"))
        self.assertIn("HTTP_TOKEN", page.text("main"))
        stage.publish(("devices/!a/data", "{}"))
        page.script("window.isTheSame = true")
        with stage.database_away():
            page.until("document.documentElement.dataset.state === arguments[0]", PROTECTED)
        page.until("document.documentElement.dataset.state === arguments[0]", OK)
        self.assertNotIn("!a", page.script("return document.documentElement.innerHTML"))
        self.assertEqual(page.accessibility(), [])
        address = stage.address("en", devices="")
        page.go(address.replace("//", f"//any:{quote(stage.settings['HTTP_TOKEN'], safe='')}@"))
        page.go(address)
        self.assertIn("!a", page.text("[data-part=strangers]"))
        stage.publish(("devices/!b/data", "{}"))
        page.until("document.querySelector('[data-part=strangers]').innerText.includes('!b')")
        self.assertEqual(page.complaints(), [])
