"""How many connections a server lets a pool have, as far as it has shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

HOLDS = 60  # s that a server which would open no more is believed
FAILURE_HOLDS = 1  # s, where it was another failure


class ConnectionLimit:
    """What a pool may open now. Used in its threads."""

    def __init__(self, most: int, tell: Callable[[int, int, str], None]) -> None:
        """
        :param most: connections that the pool may have at most.
        :param tell: called once, in one of the threads: with how many the server allows, with ``most``, and with the
            server's words.
        """
        self._most = most
        self._tell = tell
        self._allowed = most
        self._until = 0.0
        self._untold = ""  # the server's words
        self._lock = threading.Lock()

    def now(self) -> int:
        """Connections that there may be, open and opening."""
        return self._allowed if time.monotonic() < self._until else self._most

    def met(self, connections: int, words: str) -> None:
        """One more than so many could not be opened. :param words: why the server allows no more; empty: otherwise."""
        self._allowed = connections
        self._until = time.monotonic() + (HOLDS if words else FAILURE_HOLDS)
        self._untold = self._untold or words

    def settled(self, opening: int, connections: int) -> None:
        """An attempt at opening one has ended. :param opening: others that are under way."""
        if not self._untold or opening:  # while any is, nobody knows yet how many it will be
            return
        with self._lock:
            tell, self._tell = self._tell, _told
        tell(connections, self._most, self._untold)


def _told(_allowed: int, _most: int, _words: str) -> None:
    """Instead of telling it: once is enough, for as long as the process lives."""
