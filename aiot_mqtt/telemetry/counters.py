"""Figures about every delivery, so that none is ever lost without a trace: each counts once (``balance``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from .histogram import Histogram

OUTCOMES = ("stored", "superseded", "unchanged", "refused", "retained", "stale", "dropped")
"""What becomes of a delivery that is not pending."""
REFUSED_FOR = (
    *("unknown_device", "bad_json", "not_an_object", "too_deep", "too_large", "bad_topic", "foreign_topic"),
    *("refused_by_database", "spool_lost", "internal_error"),
)
"""The reasons that a delivery is refused for."""
RETRIED_FOR = ("unavailable", "conflict", "misconfigured", "spool")
"""The reasons that a write is repeated for."""


SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
"""Bounds of the histograms of durations."""
SWEPT = ("done", "paused", "failed")
"""What comes of a sweep; one is paused where silence cannot be judged, or not any more."""


class Counters:
    """Counts since the process started. Each delivery counts on each side of ``balance`` once."""

    __slots__ = (
        "acknowledge_delays",
        "batch_rows",
        "came_back",
        "commit_durations",
        "dropped",
        "last_sweep_at",
        "last_sweep_seconds",
        "odd_last_seen",
        "received",
        "received_at_qos_0",
        "recovered",
        "refused",
        "retained",
        "retries",
        "stale",
        "status_ignored",
        "stored",
        "superseded",
        "sweep_failures",
        "sweeps",
        "unchanged",
        "went_silent",
    )

    def __init__(self) -> None:
        self.received = 0
        self.received_at_qos_0 = 0
        """Of those: the broker takes them for delivered when it has sent them."""
        self.recovered = 0
        """Found in the spool at start: a former process received them."""
        self.stored = 0
        """Committed in the table."""
        self.superseded = 0
        """A newer one of the same device and kind was merged over it before its commit."""
        self.unchanged = 0
        """Heartbeats that would only have moved times, and by less than ``LAST_SEEN_RESOLUTION``: not written."""
        self.retained = 0
        """Came with the retain flag, so says nothing about now."""
        self.stale = 0
        """Sent again by the broker after something newer of the same device had come: not written."""
        self.dropped = 0
        """QoS 0 while too much was pending."""
        self.refused: Counter[str] = Counter()
        """Deliveries that were refused, by reason (``Refusals``)."""
        self.status_ignored = 0
        """Messages whose status could not be put in ``device_status``; they count elsewhere as deliveries."""
        self.went_silent = 0
        """Devices set offline because they were not heard."""
        self.odd_last_seen = 0
        """Of those, rows without a ``last_seen``, or with one far in the future."""
        self.sweep_failures = 0
        """Sweeps that the table did not answer, and rows that it did not let a sweep set."""
        self.sweeps: Counter[str] = Counter()
        """Sweeps by what came of them (``SWEPT``)."""
        self.last_sweep_at = 0.0
        """Seconds since the epoch at which the last sweep ended that was done; 0 before the first."""
        self.last_sweep_seconds = 0.0
        """How long that one took."""
        self.came_back = 0
        """Devices heard again after that."""
        self.retries: Counter[str] = Counter()
        """Writes that had to be repeated, by reason; these are not deliveries."""
        self.commit_durations = Histogram(SECONDS)
        """Of chunks, from the first statement to the answer to COMMIT."""
        self.batch_rows = Histogram((1, 10, 100, 250, 500, 1000))
        """Updates of a chunk."""
        self.acknowledge_delays = Histogram(SECONDS)
        """How long the oldest PUBLISH of a chunk had waited when that was committed."""

    def as_dict(self) -> dict[str, int]:
        """All figures flat, refusals and retries as ``refused_<reason>`` and ``retries_<reason>``."""
        names = (
            "received",
            "recovered",
            "stored",
            "superseded",
            "unchanged",
            "retained",
            "stale",
            "dropped",
            "status_ignored",
            "went_silent",
            "odd_last_seen",
            "came_back",
            "sweep_failures",
        )
        plain = {name: getattr(self, name) for name in names}
        for group in ("refused", "retries"):
            plain |= {f"{group}_{reason}": count for reason, count in sorted(getattr(self, group).items())}
        return plain

    def balance(self, pending: int) -> Balance:
        """See ``balance``. :param pending: deliveries in memory, in flight or in the spool."""
        return balance({**self.as_dict(), "pending": pending})


class Balance(NamedTuple):
    """Both sides of the sum, each by the names of its figures."""

    deliveries: dict[str, int]
    """Those that there were."""
    outcomes: dict[str, int]
    """What became of them; ``refused`` is one figure here, whatever the reason."""

    @property
    def difference(self) -> int:
        """Deliveries without an outcome; below 0, so many are counted twice. 0 at any time."""
        return sum(self.deliveries.values()) - sum(self.outcomes.values())


def balance(figures: Mapping[str, int]) -> Balance:
    """The sum of promise 8: each delivery counts once.

    ``received + recovered = stored + superseded + unchanged + refused + retained + stale + dropped + pending``

    :param figures: as ``Counters.as_dict`` gives them, with ``pending``: deliveries in memory, in flight or spooled.
    :raises KeyError: one of them is missing.
    """
    refused = sum(count for name, count in figures.items() if name.startswith("refused_"))
    with_refused = {**figures, "refused": refused}
    deliveries = ("received", "recovered")
    outcomes = (*OUTCOMES, "pending")
    return Balance({name: with_refused[name] for name in deliveries}, {name: with_refused[name] for name in outcomes})
