"""Tests that look at the page with a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from rig.browser import Browser, Page
from rig.stage import OK, Stage

UUIDS = [f"d{number}" for number in range(20)]
PHONES_AND_DESKS = ((320, 640), (390, 844), (1280, 900), (1920, 1080))


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
        """Nothing is wider than the window, on a phone or a desk."""
        for width, height in PHONES_AND_DESKS:
            page.size(width, height, is_phone=width < 500)
            wide = page.script("return [document.scrollingElement.scrollWidth, innerWidth]")
            self.assertEqual(wide, [width, width])
        page.size(1280, 900)
