"""When each device was last heard by this process: a map that holds a million of them and never stops the reactor.

Pure: told of time, never asks for it. A device is an integer, a hash of its name: two of a million are taken for one
with a probability of 3 in 100 million, and then the dead one of them is shown online for as long as the other lives.

Memory: 74 bytes a device, of those heard within the timeout and five minutes (measured with tracemalloc). It stands in
many small dicts, because a large one would stop the reactor for 50 ms whenever it grows or is cleared up.
"""

from __future__ import annotations

from collections.abc import Iterable

SHARDS = 256
MAX_IN_SHARD = 4_400  # of a million devices each has 3,906, give or take 62


class LastHeard:
    """Devices and moments of a clock that is never set."""

    def __init__(self, max_in_shard: int = MAX_IN_SHARD) -> None:
        """:param max_in_shard: of ``SHARDS``; nothing is known of the devices beyond it."""
        self._max_in_shard = max_in_shard
        self._shards: list[dict[int, float]] = [{} for _ in range(SHARDS)]
        self._next_shard = 0

    def __len__(self) -> int:
        """How many devices are remembered."""
        return sum(map(len, self._shards))

    def heard(self, devices: Iterable[int], moment: float) -> None:
        """Devices were heard, none of them before it was heard the last time."""
        shards, most = self._shards, self._max_in_shard
        for device in devices:
            shard = shards[device % SHARDS]
            if len(shard) < most or device in shard:
                shard[device] = moment

    def at(self, device: int) -> float | None:
        """When a device was last heard; None: not lately, as far as is known."""
        return self._shards[device % SHARDS].get(device)

    def forget_before(self, moment: float) -> None:
        """Forget some of the devices that were last heard before this; all of them within ``SHARDS`` calls."""
        shard = self._shards[self._next_shard]
        self._next_shard = (self._next_shard + 1) % SHARDS
        for device in [device for device, at in shard.items() if at < moment]:
            del shard[device]

    def forget(self) -> None:
        """Forget all devices."""
        self._shards = [{} for _ in range(SHARDS)]
