"""Tests that look at the page with a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from rig.browser import Browser, Page
from rig.stage import OK, Stage

UUIDS = [f"d{number}" for number in range(20)]
PHONES_AND_DESKS = ((320, 640), (390, 844), (568, 320), (1280, 900), (1920, 1080))
SHOWN = 1 / 3  # of the window that the bar leaves free, wherever one has scrolled to


class PageCase(SynchronousTestCase):
    """Browsers that each show the page in one language."""

    def setUp(self) -> None:
        self.endings = contextlib.ExitStack()
        self.addCleanup(self.endings.close)
        self.browser: Browser = self.endings.enter_context(Browser())

    def set_stage(self, uuids: Sequence[str] = UUIDS, **settings: str) -> Stage:
        stage = self.endings.enter_context(Stage(uuids, {"HEARTBEAT_TIMEOUT": "60", **settings}))
        stage.until(OK)
        return stage

    def open(self, stage: Stage, language: str, *, javascript: bool = True) -> Page:
        page = self.endings.enter_context(self.browser.open(languages=language, javascript=javascript))
        page.go(stage.address(language))
        return page

    def assert_fits(self, page: Page) -> None:
        """On a phone or a desk nothing is wider than the window, and the bar leaves room for the rest."""
        for width, height in PHONES_AND_DESKS:
            page.size(width, height, is_phone=width < 1000)
            wide = page.script("return [document.scrollingElement.scrollWidth, innerWidth]")
            self.assertEqual(wide, [width, width])
            page.script("scrollTo(0, document.body.scrollHeight)")
            covered = page.script(
                "return document.querySelector('header').getBoundingClientRect().bottom / innerHeight"
            )
            self.assertLess(covered, 1 - SHOWN, (width, height))
            page.script("scrollTo(0, 0)")
        page.size(1280, 900)
