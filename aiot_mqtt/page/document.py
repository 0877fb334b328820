"""The page as a whole, as it is answered first: all of it is there without JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from socket import gethostname

from .. import __version__
from ..health.device import DeviceFacts, moment
from ..health.history import LONG, SHORT, STEP
from ..health.why import answer
from ..health.why_lines import lines
from . import words
from .bar import bar, boxes, title
from .cards import devices, flips, flips_key, refusals, strangers, the_sum
from .chart import chart
from .icons import STALE, icon_address, symbol
from .links import ASK_PLACE, events_address, page_address
from .markup import Content, Markup, element, joined
from .moment import Moment
from .reader import Reader

REFRESH = 5  # s between two looks of a browser that runs no JavaScript
MAX_UUID = 256  # characters that can be typed
LOCKED, ALONE = "locked", "alone"


Kept = dict[str, tuple[object, Markup]]
"""What is long and need not be made anew at each look: by its part, what it was made of, and what was."""


def live_parts(moment: Moment, reader: Reader, kept: Kept, *, shows_devices: bool) -> dict[str, str]:
    """What changes while somebody looks, by the id of the element that holds it."""
    short, long = chart(moment, reader, moment.short, 1, SHORT), chart(moment, reader, moment.long, STEP, LONG)
    shown = {
        "bar": bar(moment, reader),
        "clock": Markup(reader.clock(moment.figures.time)),
        "boxes": boxes(moment, reader),
        "chart-short": short[0],
        "text-short": short[1],
        "chart-long": long[0],
        "text-long": long[1],
        "devices": devices(moment, reader),
        "sum": the_sum(moment, reader),
    }
    if shows_devices:
        key = flips_key(moment)
        if kept.get("flips", ("", ""))[0] != key:
            kept["flips"] = key, flips(moment, reader)
        shown |= {
            "flips": kept["flips"][1],
            "strangers": strangers(moment, reader),
            "refusals": refusals(moment, reader),
        }
    return dict(shown)


def page(
    moment: Moment,
    shown: Mapping[str, str],
    reader: Reader,
    *,
    hidden: str | None,
    asked: str | None = None,
    facts: DeviceFacts | None = None,
) -> bytes:
    """The document.

    :param shown: as ``live_parts`` gives it.
    :param hidden: why what shows devices is not there: ``LOCKED``, it needs the token, or ``ALONE``, only this host
        has it; None: it is there.
    :param asked: the device that is asked about. :param facts: what is known of it.
    """
    held = {name: Markup(text) for name, text in shown.items()}
    state, says = moment.verdict.state.value, reader.says
    other = "en" if reader.language == "zh" else "zh"
    switch = page_address(other, devices=hidden is None, uuid=asked or "")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title(moment.verdict, reader)),
        element(
            "link",
            rel="icon",
            id="icon",
            type="image/svg+xml",
            href=f"/icon-{state}.svg",
            data_stale=icon_address(STALE),
        ),
        element("link", rel="stylesheet", href="/page.css"),
        element("script", src="/page.js", defer=True),
        element("noscript", element("meta", http_equiv="refresh", content=f"{REFRESH}")),
    )
    stale = element(
        "div",
        symbol(STALE, "icon"),
        element("h1", says(words.STALE_WORD)),
        element("p", id="stale-text", class_="sentence", data_text=says(words.STALE)),
        id="stale",
        class_="bar",
        hidden=True,
    )
    body = element(
        "body",
        element("a", says(words.SKIP), href="#main", class_="skip"),
        element(
            "header",
            element("div", held["bar"], id="bar", class_="bar", data_part="bar"),
            stale,
            element("p", id="said", role="status", aria_live="polite", class_="unseen"),
            element(
                "nav",
                element("span", "aiot-mqtt · ", element("bdi", gethostname()), " · "),
                element("span", held["clock"], data_part="clock", class_="clock"),
                element("a", says(words.OTHER_LANGUAGE), href=switch, lang="en" if other == "en" else "zh-CN"),
            ),
        ),
        element(
            "main",
            element("p", id="note", hidden=True),
            _section("way", words.WAY, element("ol", held["boxes"], data_part="boxes", class_="boxes"), reader,
                     head_class="unseen"),
            _section("rates", words.RATES, _charts(held, reader), reader),
            element(
                "div",
                _section("devices", words.DEVICES, _held("devices", held), reader),
                _ask(reader, asked, facts) if hidden is None else _locked(hidden, reader),
                [_card(name, held) for name in ("flips", "strangers", "refusals", "sum") if name in held],
                class_="cards",
            ),
            id="main",
        ),
        element(
            "footer",
            element("p", says(words.ZONE, zone=str(reader.zone)), " ", says(words.READ_ONLY),
                    " aiot-mqtt ", __version__),
        ),
        data_events=events_address(reader.language, devices=hidden is None),
        data_stale=says(words.STALE_WORD),
    )  # fmt: skip
    html = element("html", head, body, lang=says(words.LANGUAGE), data_state=state)
    return b"<!DOCTYPE html>\n" + html.encode("utf-8", "replace")


def _section(name: str, head: str, content: Content, reader: Reader, *, head_class: str | None = None) -> Markup:
    heading = element("h2", reader.says(head), id=f"{name}-head", class_=head_class)
    return element("section", heading, content, aria_labelledby=f"{name}-head", class_=f"card {name}")


def _held(name: str, held: Mapping[str, Markup]) -> Markup:
    return element("div", held[name], data_part=name)


def _card(name: str, held: Mapping[str, Markup]) -> Markup:
    return element("section", held[name], data_part=name, class_=f"card {name}")


def _charts(held: Mapping[str, Markup], reader: Reader) -> Markup:
    """Both, of which a choice without JavaScript shows one."""
    spans = (("short", words.TEN_MINUTES), ("long", words.ONE_HOUR))
    return joined(
        element(
            "p",
            element("span", reader.says(words.RECEIVED), class_="key received"),
            element("span", reader.says(words.STORED), class_="key stored"),
            class_="keys",
        ),
        [
            [
                element("input", type="radio", name="span", id=f"span-{name}", checked=name == "short"),
                element("label", reader.says(span), for_=f"span-{name}"),
            ]
            for name, span in spans
        ],
        [
            element(
                "figure",
                element("div", held[f"chart-{name}"], data_part=f"chart-{name}"),
                element("figcaption", held[f"text-{name}"], data_part=f"text-{name}"),
                class_=f"chart {name}",
            )
            for name, _ in spans
        ],
    )


def _ask(reader: Reader, asked: str | None, facts: DeviceFacts | None) -> Markup:
    says = reader.says
    form = element(
        "form",
        element("label", says(words.ASK_HINT), for_="uuid"),
        element("input", type="hidden", name="lang", value=reader.language),
        element("input", type="search", id="uuid", name="uuid", value=asked, maxlength=f"{MAX_UUID}", required=True,
                autocomplete="off", autocapitalize="none", spellcheck="false"),
        element("button", says(words.ASK_BUTTON)),
        action="/" + ASK_PLACE, method="get", role="search",
    )  # fmt: skip
    found: Content = None
    if asked is not None:
        found = element("p", says(words.ASK_FAILED), class_="answer") if facts is None else _answer(facts, reader)
    return _section("why", words.ASK, joined(form, found), reader)


def _answer(facts: DeviceFacts, reader: Reader) -> Markup:
    found = answer(facts)
    return element(
        "div",
        element("p", reader.says(found.sentence), class_="sentence"),
        element("ul", [element("li", _fact(reader.says(line))) for line in lines(facts)]),
        element("p", reader.says(words.ASKED_AT, clock=moment(facts, facts.now)), class_="quiet"),
        class_="answer",
        id="answer",
    )


def _fact(line: str) -> Markup:
    """A line of ``why``: what it is about, at least two blanks, and that."""
    about, _, told = line.partition("  ")
    return joined(element("span", about, class_="about"), element("span", told.strip()) if told else None)


def _locked(hidden: str, reader: Reader) -> Markup:
    if hidden == ALONE:
        return _section("locked", words.ASK, element("p", reader.says(words.NEEDS_HOST)), reader)
    link = element("a", reader.says(words.LOG_IN), href=page_address(reader.language, devices=True), class_="button")
    return _section("locked", words.ASK, joined(element("p", reader.says(words.NEEDS_TOKEN)), link), reader)
