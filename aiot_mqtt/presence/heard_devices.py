"""What the writer and the way in tell about devices: when each was heard, and how regularly that happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from string import ascii_letters, digits
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime

from ..devices.update import DeviceUpdate
from ..telemetry.counters import Counters
from .flips import Flips
from .last_heard import LastHeard
from .regularity import Regularity

MAX_REMEMBERED = 100_000  # devices set offline whose return is counted; each costs about 70 bytes
# s between the receipt of a message and its commit while somebody listens; below it, what was committed was heard when
# its update says. Longer ones come out of the spool, and while that is not empty nobody listens.
MAX_AGE = 5.0
TOLERANCE = 0.001  # s that two clocks may seem to move against each other
MAX_MOMENTS = 10
_ALL_CHARACTERS = f"{ascii_letters}{digits}._:-"  # of a topic level that can be a device's


class Pending(Protocol):
    """What was received and waits to be written, as a set of keys of devices."""

    def key(self, device: str) -> str:
        """The same for two spellings of one device, as far as the table has said which are."""
        ...

    def __contains__(self, key: object) -> bool: ...


class Known(NamedTuple):
    """What is known of one device."""

    heard_at: float | None
    """When it was heard and that was committed, or rather later in the same second, by the clock that is never set."""
    is_set_offline: bool
    """By a sweep of this process, and not heard since."""
    usual_interval: float | None
    """Seconds; None: it is not watched for that, or not for long enough."""


class HeardDevices:
    """Listens to commits, which are told in their order.

    A device is named by a hash of its key here, because there may be a million of them.
    """

    def __init__(
        self,
        counters: Counters,
        clock: IReactorTime,
        pending: Pending,
        table_zone: tzinfo,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        :param clock: monotonic.
        :param pending: what was received and waits to be written.
        :param table_zone: the zone of the naive times in the table.
        :param wall_clock: seconds since the epoch; the one that gives updates their times.
        """
        self._counters = counters
        self._clock = clock
        self._table_zone = table_zone
        self._wall_clock = wall_clock
        self._pending = pending
        self._key_of_all = pending.key(_ALL_CHARACTERS)
        self._last_heard = LastHeard()
        self._moments: dict[str, float] = {}  # when seconds ended, as long as the wall clock is not set
        self._offset = wall_clock() - clock.seconds()  # of the one that may be set to the one that is never
        self._set_at = -MAX_AGE
        self._silent: set[int] = set()
        self.regularity = Regularity()
        self.flips = Flips(wall_clock)

    # Told by others.

    def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:  # noqa: ARG002 heard is heard
        """These are in the table, so these devices were heard."""
        now = self._look_at_clocks()
        learn, silent = self.regularity.heard, self._silent
        heard: dict[str, list[int]] = {}  # by the second
        for update in updates:
            device = hash(update.key)
            if update.last_seen in heard:
                heard[update.last_seen].append(device)
            else:
                heard[update.last_seen] = [device]
            learn(device, now)
            if silent and update.is_online and device in silent:
                silent.remove(device)
                self._counters.came_back += 1
                self.flips.came_back(update)
        for last_seen, devices in heard.items():
            self._last_heard.heard(devices, self._moment_of(last_seen, now))

    def row_refused(self, update: DeviceUpdate) -> None:
        """This device was heard, whatever its row takes."""
        now = self._look_at_clocks()
        self._last_heard.heard([hash(update.key)], self._moment_of(update.last_seen, now))

    def heard_unchanged(self, key: str) -> None:
        """This one was heard just now, and its row need not change."""
        now = self._clock.seconds()
        device = hash(key)
        self._last_heard.heard([device], now)
        self.regularity.heard(device, now)

    def set_offline(self, devices: Sequence[str]) -> None:
        """A sweep has set these offline."""
        self.flips.went_silent(devices)
        room = MAX_REMEMBERED - len(self._silent)
        self._silent.update(hash(self._pending.key(device)) for device in devices[:room])

    # Asked by the monitor and its sweep.

    @property
    def count(self) -> int:
        """Devices that were heard lately."""
        return len(self._last_heard)

    def is_renamed(self) -> bool:
        """Whether the table has said something else about spellings since this was last asked.

        Then what was known is known by other names, and so forgotten.
        """
        before, self._key_of_all = self._key_of_all, self._pending.key(_ALL_CHARACTERS)
        if before == self._key_of_all:
            return False
        self._last_heard.forget()
        return True

    def key(self, device: str) -> str:
        """``DeviceUpdate.key`` of any spelling, such as that of its row."""
        return self._pending.key(device)

    def last_heard(self, device: str) -> float | None:
        """When a device was last heard, or rather later in the same second, by the clock that is never set.

        None: not lately, as far as is known.
        """
        key = self._pending.key(device)
        return self._clock.seconds() if key in self._pending else self._last_heard.at(hash(key))

    def known(self, device: str) -> Known:
        """All that is known of one device, for who asks about one."""
        name = hash(self._pending.key(device))
        return Known(self._last_heard.at(name), name in self._silent, self.regularity.usual_interval(name))

    def forget_before(self, moment: float) -> None:
        """What was heard before this is of no use any more; to be called each second."""
        self._last_heard.forget_before(moment)

    def _look_at_clocks(self) -> float:
        """Now, by the clock that is never set; and whether the other one was."""
        now = self._clock.seconds()
        offset = self._wall_clock() - now
        if abs(offset - self._offset) > TOLERANCE:
            self._offset, self._set_at = offset, now
            self._moments.clear()
        elif len(self._moments) > MAX_MOMENTS:
            self._moments.clear()
        return now

    def _moment_of(self, last_seen: str, now: float) -> float:
        """When that second ended, so that this is no later than what the row says about itself.

        Now, where that cannot be told: with a clock that was set lately, it may have been any.
        """
        moment = self._moments.get(last_seen)
        if moment is not None:
            return moment
        if now - self._set_at <= MAX_AGE:
            return now
        ended = datetime.fromisoformat(last_seen).replace(tzinfo=self._table_zone).timestamp() + 1
        moment = ended - self._offset
        if not now - MAX_AGE <= moment <= now + 1:
            return now
        self._moments[last_seen] = moment
        return moment
