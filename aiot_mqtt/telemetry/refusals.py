"""Counts and tells every refused delivery, without letting a chatty device fill the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from . import log_lines, reasons
from .bilingual import Bilingual, in_both, listed
from .counters import Counters
from .durations import duration
from .printable import SHOWN, shorten
from .remembered import Refusal, Remembered

LINE_INTERVAL = 600.0  # s between two lines about the same device or topic for the same reason
MAX_LINES = 200  # lines of one sort in one interval, and so subjects remembered


class Refusals:
    """The one place where a delivery is refused, whoever found out why: counted by its reason, then told."""

    _log = Logger()

    def __init__(self, counters: Counters, clock: IReactorTime) -> None:
        self._counters = counters
        self._clock = clock
        self.remembered = Remembered()
        self._said: dict[str, set[str]] = {}  # by sort, of which there are a few dozen at most
        self._not_logged: Counter[str] = Counter()  # by sort, in this interval
        self._interval_ends = 0.0
        self._closing: IDelayedCall | None = None

    def close(self) -> None:
        """Tell how many lines were not logged, because the service ends."""
        self._end_interval()

    def unknown_device(self, device: str, deliveries: int = 1) -> None:
        """Nothing was stored: no row has this ``uuid``."""
        self._count("unknown_device", deliveries)
        now = self._clock.seconds()
        self.remembered.knocked(device, deliveries or 1, now)
        self.remembered.refused(device, Refusal(now, "unknown_device", "", "", ""))
        self._tell("unknown_device", device, log_lines.UNKNOWN_DEVICE, device=shorten(device))

    def refuse(self, reason: str, topic: str, detail: str, payload: bytes) -> None:
        """A PUBLISH was not accepted.

        :param reason: the word it is counted by.
        """
        self._count(reason)
        shown, beginning = shorten(topic), shorten(payload)
        levels = topic.split("/")[-2:]
        about = Refusal(self._clock.seconds(), reason, detail, shown, beginning)
        self.remembered.refused(levels[0] if len(levels) > 1 else "", about, payload)
        self._tell(reason, topic, log_lines.REPORT_REFUSED, topic=shown, reason=detail, payload=beginning)

    def foreign_topic(self) -> None:
        """A PUBLISH came on a topic that is none of ours; told by whoever undoes the subscription."""
        self._count("foreign_topic")

    def internal_error(self) -> None:
        """A PUBLISH met a fault of ours; told, with its traceback, by whoever caught that."""
        self._count("internal_error")

    def lost_from_spool(self, path: str, devices: int, deliveries: int) -> None:
        """What was saved on this host, and acknowledged, is not there any more."""
        if deliveries:
            self._count("spool_lost", deliveries)
        if devices:
            self._log.error(log_lines.SPOOL_LOST, path=path, devices=devices)

    def drop(self) -> None:
        """A QoS 0 message is let go, because too much is pending."""
        self._counters.dropped += 1
        self._tell("dropped", "", log_lines.MESSAGES_DROPPED)

    def refused_by_table(self, device: str, column: str | None, detail: str, deliveries: int) -> None:
        """The database does not take a value, or, where ``column`` is None, any update of this device's row."""
        if deliveries:
            self._count("refused_by_database", deliveries)
        if column is not None and "device_status" in column:
            self._counters.status_ignored += 1
        about = Refusal(self._clock.seconds(), "refused_by_database", shorten(detail), "", "")
        self.remembered.refused(device, about)
        line = log_lines.ROW_REFUSED if column is None else log_lines.VALUE_REFUSED
        sort = "refused_by_database" if column is None else f"refused_by_database: {column}"
        self._tell(sort, device, line, device=device, column=column, reason=in_both(detail, shorten))

    def ambiguous(self, uuids: Iterable[str], *, has_many_rows: bool) -> None:
        """What these devices sent was stored, but the table does not tell devices apart as it should.

        :param has_many_rows: each of them has more than one row; else they share one.
        """
        line = log_lines.DEVICE_HAS_MANY_ROWS if has_many_rows else log_lines.DEVICES_SHARE_ROW
        for device in uuids:
            self._tell("ambiguous", device, line, device=shorten(device))

    def ignored_status(self, device: str, detail: str, payload: bytes) -> None:
        """A status was left out, the rest of its message counts: nothing is refused, but somebody should know."""
        self._counters.status_ignored += 1
        self._tell(
            "ignored_status",
            device,
            log_lines.STATUS_IGNORED,
            device=shorten(device),
            reason=detail,
            payload=shorten(payload),
        )

    def _count(self, reason: str, deliveries: int = 1) -> None:
        self._counters.refused[reason] += deliveries

    def _tell(self, sort: str, subject: str, line: str, **fields: Any) -> None:
        """Log the line, unless it was said about the same subject in this interval, or too many of its sort were.

        Each sort has a budget of its own: who invents a thousand devices must not hide what the database refuses.
        """
        now = self._clock.seconds()
        if now >= self._interval_ends:
            self._end_interval()
            self._interval_ends = now + LINE_INTERVAL
        said = self._said.setdefault(sort, set())
        subject = subject[:SHOWN]
        if subject in said or len(said) > MAX_LINES:
            self._not_logged[sort] += 1
        elif len(said) == MAX_LINES:
            said.add(subject)
            self._not_logged[sort] += 1
            self._log.warn(
                log_lines.LINES_SUPPRESSED, seconds=round(self._interval_ends - now), reason=_name_of(sort), sort=sort
            )
        else:
            said.add(subject)
            log = self._log.error if line == log_lines.MESSAGES_DROPPED else self._log.warn
            log(line, **fields)
            return
        if self._closing is None:
            self._closing = self._clock.callLater(max(0.0, self._interval_ends - now), self._end_interval)

    def _end_interval(self) -> None:
        """Begin anew with the next line, and tell in one line how many there were beside those that were logged."""
        closing, self._closing = self._closing, None
        if closing is not None and closing.active():
            closing.cancel()
        not_logged, self._not_logged = self._not_logged, Counter()
        self._said.clear()
        began, self._interval_ends = self._interval_ends - LINE_INTERVAL, 0.0
        if not_logged:
            self._log.info(
                log_lines.LINES_NOT_LOGGED,
                lasts=duration(self._clock.seconds() - began),
                count=not_logged.total(),
                sorts=listed([reasons.COUNTED.fill(name=_name_of(sort), count=n) for sort, n in not_logged.items()]),
            )


def _name_of(sort: str) -> Bilingual:
    sort, colon, columns = sort.partition(": ")
    name = reasons.REFUSED_FOR.get(sort, Bilingual(sort, sort))
    return reasons.AT_COLUMN.fill(column=name, reason=columns) if colon else name
