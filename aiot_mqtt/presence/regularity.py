"""How regularly devices are heard: the evidence for choosing HEARTBEAT_TIMEOUT.

Pure, and bounded in memory: of a large fleet a sample is watched, chosen by the hashes of their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from math import ceil, floor, log10

MAX_DEVICES = 10_000  # watched at one time; each costs about 300 bytes
MIN_INTERVALS = 3  # of one device, before it is said how often that one reports
NEAR_TIMEOUT = 0.9  # of the timeout: a device whose usual interval is longer will be set offline between two reports
QUANTILE = 0.999


@dataclass(slots=True)
class _Device:
    last_heard: float | None
    usual_interval: float = 0.0
    intervals: int = 0
    is_recent: bool = True
    """Whether it was heard since the last report."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the fleet's own intervals say about a timeout."""

    intervals: int
    """How many intervals were seen."""
    usual: int
    """Seconds that 99.9 % of them do not exceed, rounded up to two digits."""
    flapping: int
    """Devices whose usual interval is about the timeout, or above it."""
    flapping_interval: int
    """The usual interval of those, in seconds; 0 where there are none."""


class Regularity:
    """Learns from the moments at which devices are heard."""

    def __init__(self, max_devices: int = MAX_DEVICES) -> None:
        self._max_devices = max_devices
        self._devices: dict[Hashable, _Device] = {}
        self._one_in = 1
        self._intervals: Counter[int] = Counter()

    def heard(self, device: Hashable, now: float) -> None:
        """A device was heard.

        :param now: seconds of a clock that is never set.
        """
        known = self._devices.get(device)
        if known is None:
            if hash(device) % self._one_in == 0:
                self._devices[device] = _Device(now)
                if len(self._devices) > self._max_devices:
                    self._halve()
            return
        last, known.last_heard = known.last_heard, now
        known.is_recent = True
        if last is None:
            return
        interval = now - last
        whole = int(interval + 0.995) or 1  # rounded up, but for a hundredth: clocks are not that exact
        self._intervals[whole if whole < 100 else _two_digits(whole)] += 1  # without a call for most
        known.intervals += 1
        # A moving average over some ten intervals.
        known.usual_interval += (interval - known.usual_interval) / min(known.intervals, 10)

    def usual_interval(self, device: Hashable) -> float | None:
        """Seconds between two reports of a device; None: it is not watched, or not for long enough."""
        known = self._devices.get(device)
        return None if known is None or known.intervals < MIN_INTERVALS else known.usual_interval

    def interrupted(self) -> None:
        """Nobody listened for a while: the intervals that span it say nothing."""
        for device in self._devices.values():
            device.last_heard = None

    def evidence(self, timeout: float) -> Evidence | None:
        """What was learnt, and begin to count intervals anew; None when nothing was."""
        self._devices = {name: device for name, device in self._devices.items() if device.is_recent}
        for device in self._devices.values():
            device.is_recent = False
        total = self._intervals.total()
        if not total:
            return None
        usual = 0
        left = ceil(total * QUANTILE)
        for usual, count in sorted(self._intervals.items()):  # noqa: B007 the loop ends at the answer
            left -= count
            if left <= 0:
                break
        self._intervals.clear()
        return Evidence(total, usual, *self.flapping(timeout))

    def flapping(self, timeout: float) -> tuple[int, int]:
        """``Evidence.flapping`` and ``flapping_interval``, as far as is known by now."""
        flapping = [
            device.usual_interval
            for device in self._devices.values()
            if device.intervals >= MIN_INTERVALS and device.usual_interval >= NEAR_TIMEOUT * timeout
        ]
        typical = round(sorted(flapping)[len(flapping) // 2]) if flapping else 0
        return len(flapping) * self._one_in, typical

    def _halve(self) -> None:
        """Watch every other of the devices watched until now."""
        self._one_in *= 2
        self._devices = {name: device for name, device in self._devices.items() if hash(name) % self._one_in == 0}


def _two_digits(seconds: int) -> int:
    """Rounded up to two significant digits, so that all intervals there are come to a few hundred numbers."""
    step = int(10 ** (floor(log10(seconds)) - 1))
    return ceil(seconds / step) * step
