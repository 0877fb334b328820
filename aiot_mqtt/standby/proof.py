"""Proof that the session was still ours at a moment: something said on its connection after that moment was passed on.

A broker that gives the session to somebody else closes the connection that had it, and takes nothing from it any more.
So when what we said on it comes back by another connection, the session was ours when it was said, however long that
took, and whatever the clocks say.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from secrets import randbits

from twisted.internet.defer import Deferred

SECRET_BITS = 24  # of each number: who may publish on the topic cannot know the next one
REMEMBERED = 1000  # numbers that were said last
PATIENCE = 2.0  # s that a proof may take; well below the wait_timeout of the transaction that waits for it


class Proof:
    """Numbers what is said, and tells those who wait what has come back. Used by several threads."""

    def __init__(self, say_soon: Callable[[], None]) -> None:
        """:param say_soon: called in any thread; has something said on the session's connection."""
        self._say_soon = say_soon
        self._lock = threading.Lock()
        self._said = 0
        self._numbers: deque[int] = deque(maxlen=REMEMBERED)
        self._session: int | None = None  # None: there is no connection
        self._sessions = 0
        self._waiting: list[tuple[int, Callable[[bool], object]]] = []

    # In the reactor's thread.

    def connected(self) -> None:
        """There is a connection of the session's."""
        with self._lock:
            self._sessions += 1
            self._session = self._sessions

    def disconnected(self) -> None:
        """There is none any more; who waits, waits in vain."""
        with self._lock:
            self._session = None
            waiting, self._waiting = self._waiting, []
        for _, told in waiting:
            told(False)

    def next_number(self) -> int:
        """That of what is said next, which must follow at once."""
        with self._lock:
            self._said = ((self._said >> SECRET_BITS) + 1 << SECRET_BITS) + randbits(SECRET_BITS)
            self._numbers.append(self._said)
            return self._said

    def came_back(self, number: int) -> bool:
        """This was passed on to us; returns whether it is one that we have said."""
        with self._lock:
            if number not in self._numbers:
                return False
            done = [told for wanted, told in self._waiting if wanted <= number]
            self._waiting = [each for each in self._waiting if each[0] > number]
        for told in done:
            told(True)
        return True

    def proved(self) -> Deferred[bool]:
        """Fires with whether the session was ours at this moment; in the reactor's thread only."""
        proved: Deferred[bool] = Deferred()
        if not self._wait(self._session, lambda is_ours: None if proved.called else proved.callback(is_ours)):
            proved.callback(False)
        return proved

    def prover(self) -> Callable[[], bool]:
        """Proves that the session is still the one that is ours at this moment; see ``prove``."""
        return partial(self.prove, self._session)

    # In any thread.

    def prove(self, session: int | None) -> bool:
        """Wait until it is proved that the session is ours at this moment; returns whether it is, within ``PATIENCE``.

        :param session: the one that it must be: another one's messages may be newer.
        """
        answers: SimpleQueue[bool] = SimpleQueue()
        try:
            return self._wait(session, answers.put) and answers.get(timeout=PATIENCE)
        except Empty:
            return False

    def _wait(self, session: int | None, told: Callable[[bool], object]) -> bool:
        """Have somebody told; returns whether that may ever be."""
        with self._lock:
            if session is None or session != self._session:
                return False
            # Of what is said after this moment: its number is given in the moment in which it is said.
            self._waiting.append((self._said + 1, told))
        self._say_soon()
        return True
