"""Why a device shows as it does: the one rule for it, from what is known to one sentence.

Pure. Whatever tells an operator about one device asks ``answer``, so that all of it agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..telemetry.bilingual import Bilingual
from . import why_words as words
from .device import DeviceFacts

SAME = 2.0  # s within which two times may be of one message: the table's are whole seconds


class Situation(Enum):
    """What an answer is about."""

    FINE = "fine"
    WAITING = "waiting"
    SILENT = "silent"
    OWN_WORD = "own_word"
    NOT_JUDGED_YET = "not_judged_yet"
    SET_BY_OTHERS = "set_by_others"
    REFUSED = "refused"
    KNOCKING = "knocking"
    NO_ROW = "no_row"
    NEVER = "never"
    IMPOSSIBLE = "impossible"
    CANNOT_TELL = "cannot_tell"

    @property
    def exit_code(self) -> int:
        """0 a known answer, 1 no row has this uuid, 2 it cannot be told."""
        if self is Situation.CANNOT_TELL:
            return 2
        return int(self in (Situation.KNOCKING, Situation.NO_ROW, Situation.IMPOSSIBLE))


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``answer`` finds."""

    situation: Situation
    sentence: Bilingual


def answer(facts: DeviceFacts) -> Answer:
    """Why the device shows as it does."""
    if not facts.is_possible:
        return Answer(Situation.IMPOSSIBLE, words.impossible(facts))
    if facts.started_at is None or (facts.row is None and facts.no_answer is not None and facts.waiting is None):
        return Answer(Situation.CANNOT_TELL, words.cannot_tell(facts))
    if facts.row is None and facts.no_answer is None:
        if facts.knocks is not None or facts.waiting is not None:
            return Answer(Situation.KNOCKING, words.knocking(facts))
        return Answer(Situation.NO_ROW, words.no_row(facts))
    seen_at = facts.seen_at
    if facts.refusal is not None and facts.refusal.at + SAME >= (seen_at or 0.0):
        return Answer(Situation.REFUSED, words.refused(facts, facts.refusal))
    if facts.waiting is not None:
        return Answer(Situation.WAITING, words.waiting(facts, facts.waiting))
    row = facts.row
    assert row is not None
    if seen_at is None:
        return Answer(Situation.NEVER, words.never(facts))
    if row.is_online:
        if facts.timeout and facts.now - seen_at > facts.timeout:
            return Answer(Situation.NOT_JUDGED_YET, words.not_judged_yet(facts, facts.now - seen_at))
        return Answer(Situation.FINE, words.fine(facts, seen_at))
    if facts.is_set_offline:
        return Answer(Situation.SILENT, words.silent(facts, seen_at))
    is_last = row.last_heartbeat is None or row.last_seen is None or row.last_heartbeat < row.last_seen
    if row.says_offline and is_last:
        return Answer(Situation.OWN_WORD, words.own_word(facts, row.last_seen or seen_at))
    if facts.heard_at is not None:
        return Answer(Situation.SET_BY_OTHERS, words.set_by_others(facts, facts.heard_at))
    return Answer(Situation.SILENT, words.silent(facts, seen_at))
