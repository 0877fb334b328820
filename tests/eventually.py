"""Waiting for what another process does and tells nobody of. The test's own timeout ends a wait in vain."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.task import deferLater


async def eventually(condition: Callable[[], object]) -> None:
    """Return once ``condition()`` is true; the reactor goes on meanwhile."""
    while not condition():
        await deferLater(reactor, 0.01)
