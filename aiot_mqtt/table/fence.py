"""What keeps a transaction from being committed by an instance that somebody else has replaced.

It is asked when the rows are locked. Who may go on then had the right after they were locked, so whoever got it later
finds them locked, or written already. The server lets go of them soon where this process freezes in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# s after which the server drops a connection that says nothing, and with it the row locks: more than a proof may take,
# and as long may the rows of a frozen instance hold up the one that takes over.
WAIT_TIMEOUT = 5


class Fence:
    """Asked before each COMMIT."""

    MAX_IDLE = 2.0
    """Seconds that a connection may be idle, so that we close it in order and the server need not."""

    def __init__(self, prove: Callable[[], None]) -> None:
        """:param prove: called in a thread of the pool. Raises ``StoreError`` where nothing may be committed."""
        self._prove = prove

    def around(self, work: Callable[..., T]) -> Callable[..., T]:
        """Work on a connection that ends with this question; the COMMIT follows it."""

        def fenced(connection: Any, *arguments: object) -> T:
            result = work(connection, *arguments)
            self._prove()
            return result

        return fenced

    def set_up(self, connection: Any) -> None:
        """Set a session up that is asked about."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION wait_timeout={WAIT_TIMEOUT}")
