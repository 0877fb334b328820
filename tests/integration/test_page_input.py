"""What devices and people put into the page, in a real browser: hostile names, keys, fingers, and no JavaScript."""

from __future__ import annotations

import math
from urllib.parse import quote

from rig.browser import ENTER, TAB, Page
from rig.picture import Colour, contrast
from rig.selection import OTHER_WAYS, only_in_all
from rig.stage import OK, PROTECTED

from .page_case import UUIDS, PageCase

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
FOCUSABLE = """
    return [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden])')]
        .filter(each => each.checkVisibility() && !(each.type === 'radio' && !each.checked)).length
"""
FOCUSED = """
    const focused = document.activeElement;
    if (!focused || focused === document.body) return null;
    const seen = focused.type === 'radio' ? focused.nextElementSibling : focused;
    const {left, top, width, height} = seen.getBoundingClientRect();
    const above = document.elementFromPoint(left + width / 2, top + height / 2);
    const style = getComputedStyle(seen);
    return {
        is: focused.outerHTML.slice(0, 100), place: [...document.querySelectorAll('*')].indexOf(focused),
        isSeen: above !== null && (seen.contains(above) || above.contains(seen)),
        width: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth), colour: style.outlineColor,
        ground: getComputedStyle(seen.closest('.card, header, body')).backgroundColor,
    };
"""
SMALL = """
    return [...document.querySelectorAll('a[href], button, summary, input[type=search], label')]
        .filter(each => each.checkVisibility() && !each.matches('.skip, form label'))
        .map(each => [each.outerHTML.slice(0, 100), each.getBoundingClientRect()])
        .filter(([_, area]) => area.height < 44 || area.width < 44)
        .map(([html, {width, height}]) => [html, width, height])
"""
LEAST_FOCUS_CONTRAST = 3  # WCAG 2.2, 2.4.13
LEAST_FOCUS_WIDTH = 2  # CSS pixels


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
            page.type(ENTER)
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
        page.click("label[for=span-long]")
        self.assertTrue(page.script("return document.querySelector('.chart.long').checkVisibility()"))
        stage.publish(("devices/d7/data", "{}"))
        page.go(stage.address("zh", uuid="d7"))
        self.assertIn("d7", page.text("#answer"))
        self.assertEqual(page.complaints(), [])

    def test_keys_and_fingers_reach_everything_and_what_is_live_leaves_them_alone(self) -> None:
        stage = self.set_stage()
        page = self.open(stage, "en")
        stage.publish(("devices/!a/data", "{}"), ("devices/d1/data", "{"))
        page.until("document.querySelector('[data-part=strangers]').innerText.includes('!a')")
        page.until("document.querySelector('[data-part=refusals] a')")
        for is_dark in (False, True):
            page.scheme(is_dark=is_dark)
            page.script("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
            places = []
            while True:
                page.type(TAB)
                focused = page.script(FOCUSED)
                if focused is None or focused["place"] in places:
                    break
                places.append(focused["place"])
                self.assertTrue(focused["isSeen"], focused)
                self.assertGreaterEqual(focused["width"], LEAST_FOCUS_WIDTH, focused)
                ratio = contrast(colour_of(focused["colour"]), colour_of(focused["ground"]))
                self.assertGreaterEqual(ratio, LEAST_FOCUS_CONTRAST, focused)
            self.assertEqual(len(places), page.script(FOCUSABLE))
            self.assertEqual(places, sorted(places))
        page.script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        for width in (390, 1280):
            page.size(width, 800, is_phone=width < 500)
            self.assertEqual(page.script(SMALL), [])
        page.click("#uuid")
        page.type("d")
        before = page.text("[data-part=sum]")
        stage.publish()
        page.until("document.querySelector('[data-part=sum]').innerText !== arguments[0]", before)
        page.type("2")
        self.assertEqual(page.script("return document.activeElement.value"), "d2")
        page.type(ENTER)
        page.until("document.getElementById('answer')")
        self.assertIn("d2", page.text("#answer"))

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


def colour_of(css: str) -> Colour:
    """``rgb(1, 2, 3)`` or, where it is transparent or nearly so, an error."""
    parts = [float(part) for part in css.partition("(")[2].rstrip(")").split(",")]
    if len(parts) == 4 and not math.isclose(parts[3], 1):
        raise ValueError(css)
    return Colour(*(int(part) for part in parts[:3]))
