"""What is known of one device at one moment: what ``why`` judges by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo

from ..telemetry.bilingual import Bilingual
from ..telemetry.durations import duration
from ..telemetry.outage import Trouble
from ..telemetry.remembered import Knocks, Refusal


@dataclass(frozen=True, slots=True)
class Row:
    """A device's row; times in seconds since the epoch."""

    uuid: str
    is_online: bool
    last_seen: float | None = None
    last_heartbeat: float | None = None
    status: str | None = None
    says_offline: bool = False
    """Its last document says that it is offline."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is not in the table yet."""

    since: float
    """Seconds since the epoch, of the newest."""
    is_on_disk: bool = False


@dataclass(frozen=True, slots=True)
class Noted:
    """The last message of one kind since somebody asks about the device."""

    at: float
    """Seconds since the epoch."""
    qos: int
    is_written: bool
    """In the table, or found to need no write."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """All that is known of a device at one moment; times in seconds since the epoch."""

    uuid: str
    """Printable, however it was asked."""
    now: float
    started_at: float | None
    """When the service began; None: it does not run."""
    is_possible: bool = True
    """Whether a topic can have it as its level."""
    table: str = "device_main"
    timeout: float = 0.0
    """``HEARTBEAT_TIMEOUT``, with ``LAST_SEEN_RESOLUTION``; 0: nobody is judged."""
    zone: tzinfo = timezone.utc
    row: Row | None = None
    no_service: str | None = None
    """Why a service that seems to run was not asked; None: it was, or nobody listens."""
    no_answer: str | None = None
    """Why the table was not read; None: it was."""
    similar: tuple[str, ...] = ()
    heard_at: float | None = None
    waiting: Waiting | None = None
    database: Trouble | None = None
    is_set_offline: bool = False
    """For its silence, by this process, and not heard since."""
    listened: float | None = None
    """Seconds of its silence in which the service listened, as far as remembered; None: nobody knows."""
    is_listening: bool = False
    usual_interval: float | None = None
    noted_since: float | None = None
    """Since when the kinds of its messages are noted: somebody asked about it; None: they are not."""
    kinds: Mapping[str, Noted] = field(default_factory=dict)
    """By the last level of the topic."""
    refusal: Refusal | None = None
    knocks: Knocks | None = None

    @property
    def seen_at(self) -> float | None:
        """When it was last heard, as far as anybody knows."""
        times = [self.heard_at, self.row.last_seen if self.row else None, self.waiting.since if self.waiting else None]
        return max((time for time in times if time is not None), default=None)


def moment(facts: DeviceFacts, time: float) -> str:
    """A time as a clock of the table's zone shows it, with its date where that is not today's."""
    then, now = (datetime.fromtimestamp(each, facts.zone) for each in (time, facts.now))
    return then.strftime("%H:%M:%S" if then.date() == now.date() else "%Y-%m-%d %H:%M:%S")


def age(facts: DeviceFacts, time: float) -> Bilingual:
    """How long ago that was."""
    return duration(max(0.0, facts.now - time))
