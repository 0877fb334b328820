"""The page at ``/`` in a real browser while real servers come and go: it stays open, and never is loaded anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rig.browser import Page
from rig.picture import Colour, colours, contrast
from rig.relay import Relay
from rig.selection import OTHER_WAYS, only_in_all
from rig.servers import Server
from rig.stage import FAULT, LOOK, OK, PROTECTED

from .page_case import PageCase

STALE = "stale"
STATE = "('stale' in document.documentElement.dataset ? 'stale' : document.documentElement.dataset.state)"
WORDS = {
    OK: ("正常", "OK"),
    LOOK: ("注意", "Look"),
    PROTECTED: ("保护中", "Protected"),
    FAULT: ("故障", "Fault"),
    STALE: ("失去联系", "No contact"),
}
CAUSES = {OK: None, LOOK: 2, PROTECTED: 3, FAULT: 0}
"""Which of the four places is the cause."""
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
SEEN_SHARE = 0.02  # of the bar that has a colour: less is a letter's edge
ICON_IS_THERE = """
    const image = new Image();
    image.src = document.getElementById('icon').href;
    return image.decode().then(() => true, () => false);
"""
OF_THE_BAR = """
    return [...document.querySelectorAll('header > .bar')].filter(each => each.offsetParent !== null)
        .flatMap(bar => [bar, ...bar.querySelectorAll('*')])
        .filter(each => [...each.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
        .map(each => getComputedStyle(each).color)
"""


def see(page: Page, state: str) -> None:
    """Wait until it is shown."""
    page.until(f"{STATE} === arguments[0]", state)


class PageStateTests(PageCase):
    def test_each_state_is_seen_live_by_whoever_reads_it_and_however(self) -> None:
        stage = self.set_stage()
        pages = [self.open(stage, "zh"), self.open(stage, "en")]
        for page in pages:
            page.script("window.isTheSame = true")
        self.see(pages, OK)
        with stage.database_away():
            self.see(pages, PROTECTED)
        self.see(pages, OK)
        with stage.broker_away():
            self.see(pages, FAULT)
        self.see(pages, OK)
        self.assertEqual([page.complaints() for page in pages], [[], []])
        with stage.disk_away():
            self.see(pages, LOOK)
            stage.service.close()
        self.see(pages, STALE)
        for page in pages:
            self.assertTrue(page.script(ICON_IS_THERE))
        stage.run_service()
        self.see(pages, OK)
        for page in pages:
            self.assertTrue(page.script("return window.isTheSame"))
            # The browser itself tells of each attempt to reach what is not there.
            said = [each for each in page.complaints() if "net::ERR_" not in each]
            self.assertEqual(said, [])

    @only_in_all(OTHER_WAYS)
    def test_what_hangs_is_seen_as_what_is_gone_and_the_end_of_each_fault(self) -> None:
        stage = self.set_stage(MQTT_KEEPALIVE="5")
        page = self.open(stage, "en")
        see(page, OK)
        with self.hanging(stage.database):
            stage.publish()
            see(page, PROTECTED)
        see(page, OK)
        with self.hanging(stage.broker):
            see(page, FAULT)
        see(page, OK)
        with stage.disk_away():
            see(page, LOOK)
        see(page, OK)
        with stage.service_hangs():
            see(page, STALE)
        see(page, OK)

    @only_in_all(OTHER_WAYS)
    def test_a_connection_that_died_without_a_word_is_made_anew(self) -> None:
        stage = self.set_stage()
        relay = self.endings.enter_context(Relay(stage.port))
        page = self.endings.enter_context(self.browser.open(languages="en"))
        page.go(stage.address("en", port=relay.port))
        see(page, OK)
        relay.cut()
        see(page, STALE)
        with stage.database_away():
            relay.restore()  # for new connections: what had been cut stays mute, as behind a firewall that forgot it
            see(page, PROTECTED)
        see(page, OK)

    @contextlib.contextmanager
    def hanging(self, server: Server) -> Iterator[None]:
        server.freeze()
        try:
            yield
        finally:
            server.thaw()

    def see(self, pages: Sequence[Page], state: str) -> None:
        """Each page shows this state, in its language, on each screen, and to eyes and ears."""
        for number, page in enumerate(pages):
            see(page, state)
            word = WORDS[state][number]
            page.until("document.title.includes(arguments[0])", word)
            self.assertIn(word, page.text("header > .bar:not([hidden])" if state != STALE else "#stale"))
            self.assertEqual(page.script("return document.documentElement.lang"), ("zh-CN", "en")[number])
            if state in CAUSES:
                cause = "return [...document.querySelectorAll('.box')].findIndex(each => each.querySelector('.cause'))"
                self.assertEqual(page.script(cause), -1 if CAUSES[state] is None else CAUSES[state])
            self.assert_fits(page)
            for is_dark in (False, True):
                page.scheme(is_dark=is_dark)
                self.assertEqual(page.accessibility(), [], (state, word, is_dark))
                if number == 0:
                    self.assert_readable(page)

    def assert_readable(self, page: Page) -> None:
        """The bar's words stand out from each colour that the bar is seen to have."""
        seen = colours(page, "header > .bar:not([hidden])" if page.script(f"return {STATE}") != STALE else "#stale")
        written = {Colour.of(each) for each in page.script(OF_THE_BAR)}
        self.assertTrue(written)
        for colour in written:
            self.assertIn(colour, seen)
            grounds = [each for each, share in seen.items() if share > SEEN_SHARE and each not in written]
            self.assertTrue(grounds)
            for ground in grounds:
                self.assertGreaterEqual(contrast(colour, ground), LEAST_CONTRAST, (colour, ground))
