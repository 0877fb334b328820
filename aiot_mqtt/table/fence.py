"""What keeps a transaction from being committed by an instance that somebody else has replaced.

It is asked when the rows are locked. Who may go on then had the right after they were locked, so whoever got it later
finds them locked, or written already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..telemetry.reasons import standby as reasons
from .contract import StoreNotOurs
from .pool import MAX_IDLE

T = TypeVar("T")

# s after which the server drops a connection that says nothing, and with it the row locks: more than a proof may take,
# and as long may the rows of a frozen instance hold up the one that takes over.
WAIT_TIMEOUT = 5


class Fence:
    """Asked before each COMMIT."""

    max_idle: float = MAX_IDLE
    """Seconds that a connection may be idle."""

    def __init__(self, prover: Callable[[], Callable[[], bool] | None]) -> None:
        """
        :param prover: called in the reactor's thread when a transaction is asked for. What it returns is called in a
            thread of the pool, and says whether that transaction may be committed. None: it may not, so that it is not
            worth a lock.
        """
        self._prover = prover

    def around(self, work: Callable[..., T]) -> Callable[..., T]:
        """Work on a connection that ends with this question, and in ``StoreNotOurs`` if the answer is no; the COMMIT
        follows it.
        """
        prove = self._prover()

        def fenced(connection: Any, *arguments: object) -> T:
            if prove is None:
                raise StoreNotOurs(reasons.NOT_OURS)
            result = work(connection, *arguments)
            if not prove():
                raise StoreNotOurs(reasons.NOT_OURS)
            return result

        return fenced

    def set_up(self, connection: Any) -> None:
        """Set a session up that is asked about."""


class ImpatientFence(Fence):
    """The server lets go of the rows soon where this process freezes before it is answered."""

    max_idle = 2.0  # so that we close it in order and the server need not

    def set_up(self, connection: Any) -> None:
        """See ``Fence.set_up``."""
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION wait_timeout={WAIT_TIMEOUT}")
