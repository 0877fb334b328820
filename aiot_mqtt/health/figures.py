"""What the state of the service is judged by: one moment of it, taken in one turn of the reactor."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..standby.told import Told
from ..telemetry.counters import Counters
from ..telemetry.outage import Trouble
from .outlook import Outlook
from .overload import Overload


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """The connection to the broker."""

    address: str
    is_subscribed: bool = False
    """Every topic is granted on the connection that there is."""
    is_heard: bool = False
    """Something came within the last three seconds, if only the answer to a ping."""
    trouble: Trouble | None = None
    window: int = 0
    """PUBLISH packets that may be unacknowledged at one time."""
    unacknowledged: int = 0
    oldest_unacknowledged: float = 0.0
    """Seconds."""
    silent_for: float | None = None
    """Seconds since the last message, or since the topics were granted, whichever is less; None: not subscribed."""
    last_message_at: float = 0.0
    """Seconds since the epoch; 0 before the first."""
    rate: float = 0.0
    """Messages a second, over the last ten seconds."""
    dropped: int | None = None
    """Messages that the broker has dropped since it was started, of all its clients; None: it cannot be read."""
    sessions_lost: int = 0
    """How often the broker had no session for us although there had been one."""
    taken_over: int = 0
    """Connections of the last ten minutes that ended as if somebody else had connected under our client id."""
    is_rivalled: bool = False
    """One of the last eleven minutes certainly did."""


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """The table, as the last attempt found it, or as this one does."""

    address: str
    is_seen: bool = False
    """It was looked at since the process started."""
    trouble: Trouble | None = None
    overload: Overload | None = None
    """It takes less than what comes; None: it does not, as far as that can be told."""
    commit_seconds: float | None = None
    """What the quickest transaction took, nearly all of it the commit and the way there; None: none was seen."""


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """What is kept on this host while the database is away."""

    is_enabled: bool = False
    trouble: Trouble | None = None
    """Why the disk takes nothing, or cannot be looked at."""
    devices: int = 0
    deliveries: int = 0
    since: float | None = None
    """Seconds since the epoch, when it began to hold something; None: it holds nothing, or did before this process."""
    outlook: Outlook | None = None
    """What the disk has room for while it holds something; None: there is nothing to go by."""


@dataclass(frozen=True, slots=True)
class PresenceFigures:
    """Who is online."""

    is_enabled: bool = False
    is_listening: bool = False
    """A device that reports now would be heard, and seen in the table, at once."""
    not_listening_for: float = 0.0
    """Seconds; 0 while it listens."""
    flapping: tuple[int, int] = (0, 0)
    """Devices that report so seldom that they go offline between two reports, and their usual interval in seconds."""
    is_judging: bool = False
    """It listens, and has for long enough to tell who is silent."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment. The counters are the service's own, so they are of this moment only until the reactor turns."""

    time: float
    """Seconds since the epoch."""
    uptime: float
    """Seconds since the service started."""
    broker: BrokerFigures
    database: DatabaseFigures
    spool: SpoolFigures = SpoolFigures()
    presence: PresenceFigures = PresenceFigures()
    counters: Counters = field(default_factory=Counters)
    unknown_uuids: int = 0
    """Names that no row has and under which something came in the last ten minutes, as far as they are remembered."""
    pending: int = 0
    """Deliveries that are in memory; those on disk are in ``spool``."""
    standby: Told | None = None
    """Who of several instances is active; None: there is one only (``HA_MODE=off``)."""
