"""What is seen first: the state in a word and a sentence, and the four places of a message's way."""

from __future__ import annotations

from ..health.outlook import in_words
from ..health.standby_state import is_waiting
from ..health.state import State, Verdict
from ..health.status_words import ICONS, size
from ..telemetry.durations import duration
from . import words
from .icons import symbol
from .markup import Content, Markup, element, joined
from .moment import Moment
from .reader import Reader

MET, LOOK, KEPT, UNMET = (state.value for state in (State.OK, State.LOOK, State.PROTECTED, State.FAULT))
UNKNOWN = "none"


def bar(moment: Moment, reader: Reader) -> Markup:
    """The state, and what is to be done."""
    verdict = moment.verdict
    to_do = _to_do(moment, reader)
    return joined(
        symbol(verdict.state.value, "icon"),
        element("h1", reader.says(verdict.state.word)),
        element("p", reader.says(verdict.sentence), class_="sentence"),
        element("p", reader.says(words.TO_DO), to_do, class_="to-do") if to_do else None,
    )


def title(verdict: Verdict, reader: Reader) -> str:
    """Of the tab."""
    return f"{ICONS[verdict.state.value]} {reader.says(verdict.state.word)} · aiot-mqtt"


def _to_do(moment: Moment, reader: Reader) -> str | None:
    """One thing: about the first place that is not well, or all that is worth a look."""
    figures = moment.figures
    unmet = [each for each in moment.verdict.conditions if not each.is_met]
    if moment.verdict.state is State.LOOK and len(unmet) > 1:
        return reader.says(words.STOP).join((*(reader.says(each.reason) for each in unmet), ""))
    for condition in unmet:
        if condition.id == "broker" and figures.broker.trouble is not None:
            return reader.says(words.LOOK_AT_BROKER, address=figures.broker.address)
        if condition.id == "spool" and figures.spool.trouble is not None:
            return reader.says(words.LOOK_AT_DISK)
        if condition.id == "database" and figures.database.trouble is not None:
            return reader.says(words.LOOK_AT_DATABASE, address=figures.database.address)
    return None


def boxes(moment: Moment, reader: Reader) -> Markup:
    """The four places; the first one that is not well is the cause."""
    places = [_broker(moment, reader), _service(moment, reader), _spool(moment, reader), _database(moment, reader)]
    cause = next((place for place, (_, state, _, _) in enumerate(places) if state == UNMET), None)
    return joined(
        element(
            "li",
            element("h3", reader.says(name)),
            element("p", None if state == UNKNOWN else symbol(state, "mark"), first, class_="first"),
            [element("p", line) for line in lines],
            element("p", reader.says(words.CAUSE), class_="cause") if place == cause else None,
            class_=f"box {state}",
        )
        for place, (name, state, first, lines) in enumerate(places)
    )


Place = tuple[str, str, Content, list[str]]
"""Its name, how it is, that in words, and what else there is to say."""


def _is_met(moment: Moment, name: str) -> bool:
    return next(each.is_met for each in moment.verdict.conditions if each.id == name)


def _broker(moment: Moment, reader: Reader) -> Place:
    broker = moment.figures.broker
    lines = [broker.address]
    if broker.last_message_at:
        lines.append(reader.says(words.LAST_MESSAGE, ago=reader.ago(broker.last_message_at)))
    else:
        lines.append(reader.says(words.NO_MESSAGE_YET))
    if broker.dropped is None:
        lines.append(reader.says(words.DROPPED_UNKNOWN))
    else:
        lines.append(reader.says(words.DROPPED, count=f"{broker.dropped:,}"))
    if broker.sessions_lost:
        lines.append(reader.says(words.SESSIONS_LOST, count=f"{broker.sessions_lost:,}"))
    if is_waiting(moment.figures.standby):
        reason = next(each.reason for each in moment.verdict.conditions if each.id == "standby")
        return words.BROKER, MET if _is_met(moment, "broker") else UNMET, reader.says(reason), [broker.address]
    if _is_met(moment, "broker"):
        state = MET if _is_met(moment, "messages") else LOOK
        return words.BROKER, state, reader.says(words.LISTENING), lines
    reason = next(each.reason for each in moment.verdict.conditions if each.id == "broker")
    if broker.trouble is None:
        return words.BROKER, UNMET, reader.says(reason), lines
    lines.insert(1, reader.says(reason))
    lines += _next_attempt(broker.trouble.next_in, reader)
    return words.BROKER, UNMET, reader.says(words.AWAY, lasts=reader.lasts(broker.trouble.seconds)), lines


def _service(moment: Moment, reader: Reader) -> Place:
    broker, past = moment.figures.broker, moment.beside.past
    state = MET if _is_met(moment, "progress") else UNMET
    if state == MET and not _is_met(moment, "window"):
        state = LOOK
    first = reader.says(words.OLDEST_WAITS, seconds=f"{broker.oldest_unacknowledged:,.1f}")
    lines = []
    if broker.window:
        share, peak = (f"{each / broker.window:.1%}" for each in (broker.unacknowledged, past.unacknowledged_peak))
        lines.append(reader.says(words.WINDOW, share=share, peak=peak))
    lines.append(reader.says(words.RUNS_SINCE, clock=reader.clock(moment.started_at)))
    if moment.figures.standby is not None:
        lines += [reader.says(each.reason) for each in moment.verdict.conditions if each.id == "standby"]
    return words.SERVICE, state, first, lines


def _spool(moment: Moment, reader: Reader) -> Place:
    spool, space = moment.figures.spool, moment.beside.space
    free = [] if space is None else [reader.says(words.FREE, size=size(space.free))]
    if not spool.is_enabled:
        return words.SPOOL, UNKNOWN, reader.says(words.SPOOL_OFF), []
    if spool.trouble is not None:
        away = reader.says(words.AWAY, lasts=reader.lasts(spool.trouble.seconds))
        return words.SPOOL, UNMET, away, [reader.says(spool.trouble.reason), *free]
    if not spool.devices:
        return words.SPOOL, MET, reader.says(words.SPOOL_EMPTY), free
    used = size(None if space is None else space.used)
    first = reader.says(words.SPOOL_HOLDS, count=f"{spool.devices:,}", size=used)
    since = reader.says(words.SINCE_BEFORE_START)
    if spool.since is not None:
        since = reader.says(words.SINCE, clock=reader.clock(spool.since))
    outlook = [] if spool.outlook is None else [reader.says(in_words(spool.outlook))]
    return words.SPOOL, KEPT, first, [since, *(outlook or free)]


def _database(moment: Moment, reader: Reader) -> Place:
    database = moment.figures.database
    lines = [database.address]
    if database.trouble is not None:
        lines.append(reader.says(database.trouble.reason))
        lines += _next_attempt(database.trouble.next_in, reader)
        return words.DATABASE, UNMET, reader.says(words.AWAY, lasts=reader.lasts(database.trouble.seconds)), lines
    if not database.is_seen:
        return words.DATABASE, UNMET, reader.says(words.STARTING), lines
    if database.commit_seconds is not None:
        lines.append(reader.says(words.COMMIT_TAKES, milliseconds=f"{1000 * database.commit_seconds:,.1f}"))
    return words.DATABASE, MET, reader.says(words.WRITES), lines


def _next_attempt(next_in: float | None, reader: Reader) -> list[str]:
    return [] if next_in is None else [reader.says(words.NEXT_ATTEMPT, lasts=reader.says(duration(next_in)))]
