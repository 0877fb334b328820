"""Which of several servers is in use: all connections lead to one, until it is left for the next.

Never to two at once: what one node of a cluster has not yet heard of another would be in conflict there. Nothing moves
back over a change: what was sent to a node that is left either commits before what the next one takes, or conflicts
with it, because Galera and Group Replication certify; and a server that says it is read-only is passed over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..telemetry.bilingual import Bilingual, in_chinese, listed
from ..telemetry.reasons import database as reasons
from .address import DatabaseAddress
from .contract import StoreError, StoreLoginRefused, StoreMisconfigured, StoreUnavailable


class Nodes:
    """Addresses, tried in turn. May be asked in any thread."""

    def __init__(self, addresses: Sequence[DatabaseAddress], changed: Callable[[DatabaseAddress, str], None]) -> None:
        """
        :param changed: told in any thread whenever another one is in use than before, with why not those before it.
        """
        self._addresses = addresses
        self._changed = changed
        self._lock = threading.Lock()
        self._index = 0
        self._in_use: int | None = None
        self._passed: dict[int, str] = {}  # over since one was in use, with why

    @property
    def are_several(self) -> bool:
        """Whether there is a choice."""
        return len(self._addresses) > 1

    @property
    def index(self) -> int:
        """Which one the next connection is to lead to."""
        return self._index

    @property
    def address(self) -> DatabaseAddress:
        """The one that is in use, or else is tried next."""
        in_use = self._in_use
        return self._addresses[self._index if in_use is None else in_use]

    def arguments(self, index: int) -> dict[str, Any]:
        """Of a ``DatabaseConnection`` to one of them."""
        address = self._addresses[index]
        return {"host": address.host, "port": address.port, "tls": address.tls, "public_key": address.public_key}

    def leave(self, index: int, error: StoreError) -> StoreError:
        """One cannot be used now: go on with the next, unless somebody else has done so.

        Returns the error with the one's name, where there are several.
        """
        if not self.are_several:
            return error
        words = reasons.AT_SERVER.fill(server=self._addresses[index].server, words=str(error))
        with self._lock:
            if self._index == index:
                self._passed[index] = words
                self._index = (index + 1) % len(self._addresses)
        named = type(error)(words)
        if isinstance(named, StoreUnavailable):
            named.has_others = True
        return named

    def reached(self, index: int) -> bool:
        """A connection to one of them can be used; returns False where that one was left meanwhile."""
        with self._lock:
            if index != self._index:
                return False
            is_another, self._in_use = index != self._in_use, index
            passed, self._passed = self._passed, {}
        if is_another and self.are_several:
            self._changed(self._addresses[index], _in_a_row(list(passed.values())))
        return True

    def none_answers(self, failed: Sequence[StoreError]) -> StoreError | None:
        """What it means that so many attempts failed; None: not all were tried."""
        if len(failed) < len(self._addresses):
            return None
        if not self.are_several:
            return failed[0]
        words = _in_a_row([str(error) for error in failed])
        if all(isinstance(error, StoreMisconfigured) for error in failed):
            is_login = all(isinstance(error, StoreLoginRefused) for error in failed)
            return (StoreLoginRefused if is_login else StoreMisconfigured)(words)
        unavailable = StoreUnavailable(words)
        unavailable.has_others = True
        return unavailable


def _in_a_row(words: list[str]) -> Bilingual:
    return listed([Bilingual(each[:], in_chinese(each)) for each in dict.fromkeys(words)], "; ", "；")
