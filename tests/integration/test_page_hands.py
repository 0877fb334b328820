"""The page is used with a finger, and by a keyboard alone: everything is reached, large enough, and seen."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rig.browser import ENTER, RIGHT, SHIFT, TAB, Browser, Page
from rig.picture import Colour, contrast
from rig.selection import OTHER_WAYS, only_in_all
from rig.stage import OK, Stage

UUIDS = [f"sensor-{number}" for number in range(1, 21)]
UNKNOWN = ("unknown-1", "W" * 255, "<b>bold</b>")
PAYLOADS = ("{", "W" * 3000)
TARGET = 44  # CSS pixels each way: WCAG 2.2, 2.5.5
SEEN = 2  # CSS pixels that an outline has at least: WCAG 2.2, 2.4.13
STANDS_OUT = 3  # WCAG 2.2, 1.4.11: an outline's contrast with what is behind it
PHONE, DESK = (390, 844), (1280, 900)

# What can be pointed at; for a radio button that is its label, beside it.
SMALL = """
    const kinds = "a, button, summary, input[type=search], input[type=radio] + label";
    return [...document.querySelectorAll(kinds)].filter(each => each.checkVisibility() && !each.matches(".skip"))
        .map(each => [each, each.getBoundingClientRect()])
        .filter(([each, box]) => box.height < arguments[0] || box.width < arguments[0])
        .map(([each, box]) => `${each.outerHTML.slice(0, 100)}: ${box.width} × ${box.height}`);
"""
# What Tab is to reach: of radio buttons that belong together the one that is chosen.
NUMBERED = """
    const kinds = "a[href], button, summary, input[type=search], input[type=radio]:checked";
    const all = [...document.querySelectorAll(kinds)].filter(each => each.checkVisibility());
    all.forEach((each, number) => window.name = each.tabNumber = number);
    return all.length;
"""
# The focus is seen by an outline, of the label where a radio button is not drawn, and nothing lies above it.
FOCUSED = """
    const focused = document.activeElement;
    if (!focused || focused === document.body) return null;
    const shown = focused.type === "radio" ? focused.nextElementSibling : focused;
    const style = getComputedStyle(shown), box = shown.getClientRects()[0];
    const above = document.elementFromPoint(box.x + Math.min(box.width / 2, 20), box.y + box.height / 2);
    return {number: focused.tabNumber, html: focused.outerHTML.slice(0, 100),
            outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth), colour: style.outlineColor,
            ground: getComputedStyle(shown.closest(".card, header, body")).backgroundColor,
            above: above && (shown.contains(above) || above.contains(shown) && !above.matches("header, header *"))
                ? null : String(above?.outerHTML.slice(0, 100))};
"""


@only_in_all(OTHER_WAYS)
class HandsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stage = Stage(UUIDS, {})
        self.addCleanup(self.stage.close)
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.browser.start()
        self.stage.until(OK)
        self.stage.publish(*((f"devices/{uuid}/data", "{}") for uuid in UNKNOWN))
        self.stage.publish(*(("devices/sensor-1/data", payload) for payload in PAYLOADS))

    def open(self, language: str, size: tuple[int, int]) -> Page:
        """The page with something in each of its lists."""
        page = self.browser.open(languages=language)
        page.size(*size, is_phone=size == PHONE)
        page.go(self.stage.address(language))
        page.until("document.querySelector('.refusals table') && document.querySelector('.strangers table')")
        return page

    def assert_reached(self, page: Page, *keys: str) -> None:
        """By pressing these again and again, everything is, once each, and is seen to be."""
        count = page.script(NUMBERED)
        reached = []
        for _ in range(count + 5):
            page.press(*keys)
            focused = page.script(FOCUSED)
            if focused is None or focused["number"] in reached:
                break
            reached.append(focused["number"])
            self.assertGreaterEqual(focused["outline"], SEEN, focused)
            self.assertIsNone(focused["above"], focused)
            ratio = contrast(Colour.of(focused["colour"]), Colour.of(focused["ground"]))
            self.assertGreaterEqual(ratio, STANDS_OUT, focused)
        self.assertEqual(sorted(reached), list(range(count)))

    def test_everything_is_large_enough_for_a_finger(self) -> None:
        for language in ("zh", "en"):
            for size in (PHONE, DESK):
                with self.open(language, size) as page:
                    page.script("document.querySelectorAll('details').forEach(each => each.open = true)")
                    self.assertEqual(page.script(SMALL, TARGET), [], (language, size))

    def test_everything_is_reached_by_the_keyboard_and_seen_when_it_is(self) -> None:
        for size in (DESK, PHONE):
            with self.open("en", size) as page:
                page.script("document.querySelectorAll('details').forEach(each => each.open = true)")
                page.scheme(is_dark=size == PHONE)
                self.assert_reached(page, TAB)
                page.script("document.activeElement.blur(); scrollTo(0, document.body.scrollHeight)")
                self.assert_reached(page, SHIFT, TAB)

    def test_the_page_is_used_by_the_keyboard_and_keeps_its_place_while_it_lives(self) -> None:
        with self.open("en", PHONE) as page:
            page.script("document.querySelector('#span-short').focus()")
            page.press(RIGHT)
            page.until("document.querySelector('.chart.long').checkVisibility()")
            self.assertFalse(page.script("return document.querySelector('.chart.short').checkVisibility()"))
            page.script("document.querySelector('.refusals summary').focus()")
            page.press(ENTER)
            page.script("document.querySelector('#uuid').focus()")
            page.press("s")
            for number in range(3):
                clock = page.text(".clock")
                self.stage.publish((f"devices/{UNKNOWN[0]}/data", f"{number}"), ("devices/sensor-1/data", "{"))
                page.until("document.querySelector('.clock').innerText !== arguments[0]", clock)
            kept = """
                const isOpen = name => document.querySelector(`.${name} details`).open;
                const focused = document.activeElement, isLong = document.querySelector("#span-long").checked;
                return [focused.id, focused.value, isLong, isOpen("refusals"), isOpen("strangers")];
            """
            self.assertEqual(page.script(kept), ["uuid", "s", True, True, False])
            for key in "ensor-1":
                page.press(key)
            page.press(ENTER)
            page.until("document.querySelector('#answer')?.innerText.includes('sensor-1')")
            self.assertEqual(page.complaints(), [])
