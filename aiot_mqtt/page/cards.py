"""What stands below the chart: devices, who knocks, what was refused, and the sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..presence.flips import Flip
from ..telemetry import reasons
from ..telemetry.counters import REFUSED_FOR
from ..telemetry.printable import printable
from ..telemetry.remembered import Newest
from . import words
from .links import ask_address
from .markup import Content, Markup, element, joined
from .moment import Moment
from .reader import Reader

AGES_EACH = 10.0  # s between two ages of what is a long list, so that it is not sent anew each second
NOTEWORTHY = 3.0  # s without listening: a burst or a slow commit hinders for a moment, and nobody need know
SHOWN_NAME = 64  # characters of a uuid
SHOWN_PAYLOAD = 200  # characters of a refused message


def devices(moment: Moment, reader: Reader) -> Markup:
    """How many are online and offline, and whether somebody could be found offline now."""
    counted, presence = moment.beside.devices, moment.figures.presence
    hint = None
    if not presence.is_enabled:
        hint = words.JUDGING_OFF
    elif presence.not_listening_for >= NOTEWORTHY:
        hint = words.NOT_HEARING
    elif presence.is_listening and not presence.is_judging:
        hint = words.NOT_JUDGED
    shown: Content = element("p", reader.says(words.NOT_COUNTED))
    if counted is not None:
        online, of_all = counted
        shown = element(
            "dl",
            _pair(reader.says(words.ONLINE), f"{online:,}"),
            _pair(reader.says(words.OFFLINE), f"{of_all - online:,}"),
            class_="counts",
        )
        shown = joined(shown, element("p", reader.says(words.COUNTED_EACH), class_="quiet"))
    return joined(shown, None if hint is None else element("p", reader.says(hint), class_="hint"))


def flips(moment: Moment, reader: Reader) -> Markup:
    """The newest changes between online and offline. Long, so it is best asked for where ``flips_key`` has changed."""
    if not moment.flips:
        return _folded(words.FLIPS, 0, reader, element("p", reader.says(words.NO_FLIPS), class_="quiet"))
    steady = replace(reader, now=_steady(reader.now))
    return _folded(
        words.FLIPS,
        len(moment.flips),
        reader,
        _scrolled(table(reader, None, words.FLIP_HEADS, [_flip(flip, steady) for flip in moment.flips])),
    )


def flips_key(moment: Moment) -> object:
    """As long as this is the same, so is what ``flips`` makes of it, for one language."""
    return moment.flips_noted, _steady(moment.figures.time)


def _steady(now: float) -> float:
    return now // AGES_EACH * AGES_EACH


def _flip(flip: Flip, reader: Reader) -> Sequence[Content]:
    if flip.is_online:
        change, because = words.WENT_ONLINE, words.HEARD_AGAIN
    else:
        change, because = words.WENT_OFFLINE, words.OWN_WORD if flip.is_own_word else words.SILENT
    shown = element("span", reader.says(change), class_="up" if flip.is_online else "down")
    return name(flip.device, reader), shown, reader.says(because), _when(flip.at, reader)


def strangers(moment: Moment, reader: Reader) -> Markup:
    """Names that no row has and that send."""
    count = moment.figures.unknown_uuids
    if not moment.strangers:
        return _folded(words.STRANGERS, 0, reader, element("p", reader.says(words.NO_STRANGERS), class_="quiet"))
    rows: list[Sequence[Content]] = [
        (name(uuid, reader), f"{knocks.messages:,}", _when(moment.time(knocks.last), reader))
        for uuid, knocks in moment.strangers
    ]
    more = count - len(rows)
    return _folded(
        words.STRANGERS,
        count,
        reader,
        _scrolled(table(reader, words.STRANGERS_CAPTION, (words.DEVICE, words.MESSAGES, words.LAST), rows)),
        element("p", reader.says(words.MORE, count=f"{more:,}"), class_="quiet") if more > 0 else None,
        element("p", reader.says(words.STRANGERS_HINT), class_="hint"),
    )


def refusals(moment: Moment, reader: Reader) -> Markup:
    """What was not taken, by the reason, and the newest one of each."""
    refused = moment.figures.counters.refused
    rows: list[Sequence[Content]] = []
    for reason in (*REFUSED_FOR, *sorted(set(refused) - set(REFUSED_FOR))):
        if count := refused[reason]:
            newest = moment.refusals.get(reason)
            rows.append((_reason(reason, reader), f"{count:,}", *_newest(newest, moment, reader)))
    total = refused.total()
    if not rows:
        return _folded(words.REFUSED, 0, reader, element("p", reader.says(words.NO_REFUSED), class_="quiet"))
    heads = (words.REASON, words.COUNT, words.DEVICE, words.NEWEST)
    return _folded(words.REFUSED, total, reader, table(reader, words.REFUSED_CAPTION, heads, rows))


def the_sum(moment: Moment, reader: Reader) -> Markup:
    """Each message once, on both sides."""
    figures = moment.figures
    balance = figures.counters.balance(figures.pending + figures.spool.deliveries)
    came, became = balance.deliveries, balance.outcomes
    left: list[Sequence[Content]] = [(reader.says(words.RECEIVED), f"{came['received']:,}")]
    if came["recovered"]:
        left.append((reader.says(words.RECOVERED), f"{came['recovered']:,}"))
    right: list[Sequence[Content]] = [
        (reader.says(words.OUTCOMES[what]), f"{count:,}") for what, count in became.items()
    ]
    total = sum(came.values()), sum(became.values())
    verdict = reader.says(words.EQUAL)
    if balance.difference:
        verdict = reader.says(words.NOT_EQUAL, count=f"{balance.difference:,}")
    sides = words.WHAT, words.MESSAGES
    caption = reader.says(words.SUM_SINCE, clock=reader.clock(moment.started_at))
    return _folded(
        words.SUM,
        verdict,
        reader,
        element("p", caption, class_="quiet"),
        element(
            "div",
            table(reader, words.CAME, sides, left, reader.says(words.TOTAL), f"{total[0]:,}"),
            table(reader, words.BECAME, sides, right, reader.says(words.TOTAL), f"{total[1]:,}"),
            class_="sides",
        ),
    )


def name(uuid: str, reader: Reader) -> Markup:
    """A device's name, which leads to what is known of it."""
    shown = element("bdi", printable(uuid, SHOWN_NAME))
    return element("a", shown, href=ask_address(uuid, reader.language), class_="device", rel="nofollow")


def table(reader: Reader, caption: str | None, heads: Sequence[str], rows: Sequence[Sequence[Content]],
          *total: str) -> Markup:  # fmt: skip
    """The first cell of each row names it; numbers stand on the right."""
    return element(
        "table",
        None if caption is None else element("caption", reader.says(caption)),
        element("thead", element("tr", [element("th", reader.says(head), scope="col") for head in heads])),
        element("tbody", [_row(cells) for cells in rows]),
        element("tfoot", _row(total)) if total else None,
    )


def _row(cells: Sequence[Content]) -> Markup:
    return element("tr", element("th", cells[0], scope="row"), [element("td", cell) for cell in cells[1:]])


def _reason(reason: str, reader: Reader) -> str:
    return reader.says(reasons.REFUSED_FOR.get(reason, reason))


def _newest(newest: Newest | None, moment: Moment, reader: Reader) -> tuple[Content, Content]:
    if newest is None:
        return "—", "—"
    refusal = newest.refusal
    device: Content = name(newest.device, reader) if newest.device else "—"
    payload = printable(newest.payload.decode("utf-8", "backslashreplace"), SHOWN_PAYLOAD)
    folded = None
    if payload or refusal.detail:
        folded = element(
            "details",
            element("summary", reader.says(words.SHOW_PAYLOAD)),
            element("p", reader.says(refusal.detail)) if refusal.detail else None,
            element("p", element("bdi", refusal.topic), class_="code") if refusal.topic else None,
            element("pre", element("bdi", payload)) if payload else None,
        )
    return device, joined(_when(moment.time(refusal.at), reader), folded)


def _when(time: float, reader: Reader) -> Markup:
    """By the clock, with its age."""
    return Markup(f'<span class="when">{reader.clock(time)}<span class="quiet"> {reader.ago(time)}</span></span>')


def _scrolled(shown: Markup) -> Markup:
    return element("div", shown, class_="scrolled")


def _folded(head: str, count: int | str, reader: Reader, *children: Content) -> Markup:
    shown = f"{count:,}" if isinstance(count, int) else count
    return element(
        "details",
        element("summary", element("h2", reader.says(head)), element("span", shown, class_="count")),
        *children,
        open=True,
    )


def _pair(term: str, value: str) -> Markup:
    return element("div", element("dt", term), element("dd", value))
