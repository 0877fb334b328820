"""What became of updates: counted, told, and handed to who wants to know, exactly once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..devices.update import DeviceUpdate
from ..table.contract import Store, StoreRefused, StoreUnavailable, Written
from ..telemetry import log_lines
from ..telemetry.counters import Counters
from ..telemetry.refusals import Refusals
from .backlog import Backlog
from .bad_rows import RefusedPart
from .data_path import DataPath
from .listeners import CommitListener

MAX_LOST_ALONE = 6
"""How often in a row a single update with a value in it may end its connection, while the server answers in between,
before it is tried without the value."""


class Settlement:
    """Writes parts of a chunk, and settles them: what ``bad_rows`` calls ``Settling``.

    Of what was pending, each part is counted as soon as it is committed. Of what the spool holds, all is counted when
    the spool has let go of the whole chunk, because until then it is written again after a failure.
    """

    _log = Logger()

    def __init__(
        self,
        store: Store,
        path: DataPath,
        backlog: Backlog,
        counters: Counters,
        refusals: Refusals,
        *,
        database_answered: Callable[[], None],
        clock: IReactorTime,
    ) -> None:
        self._store = store
        self._clock = clock
        self._asked_at: float | None = None  # what is not answered yet
        self._path = path
        self._backlog = backlog
        self._counters = counters
        self._refusals = refusals
        self._database_answered = database_answered
        self._listeners: list[CommitListener] = []
        self._is_spooled = False
        self._unless_heard_until: str | None = None
        self._outcomes: list[tuple[Sequence[DeviceUpdate], Written, RefusedPart | None]] = []
        self._settled: set[str] = set()
        self._lost_alone: tuple[str, int] = ("", 0)

    def add_listener(self, listener: CommitListener) -> None:
        """See ``Writer.add_listener``."""
        self._listeners.append(listener)

    def begin(self, *, is_spooled: bool, unless_heard_until: str | None = None) -> None:
        """The next parts are of another chunk. :param unless_heard_until: see ``Store.write``."""
        self._is_spooled = is_spooled
        self._unless_heard_until = unless_heard_until
        self._outcomes.clear()
        self._settled.clear()

    def unsettled(self, updates: Sequence[DeviceUpdate]) -> list[DeviceUpdate]:
        """Those that nothing became of yet."""
        return [update for update in updates if update.uuid not in self._settled]

    def count_spooled(self) -> None:
        """The spool has let go of the chunk: count what became of it."""
        for updates, written, refusal in self._outcomes:
            self._count(updates, written, refusal)

    @property
    def unanswered_for(self) -> float:
        """Seconds since the table got what it has not answered yet; 0: nothing."""
        return 0.0 if self._asked_at is None else self._clock.seconds() - self._asked_at

    async def write(self, updates: Sequence[DeviceUpdate]) -> Written:
        """See ``bad_rows.Settling``."""
        self._asked_at = self._clock.seconds()
        try:
            return await self._store.write(updates, self._unless_heard_until)
        except StoreUnavailable as error:
            if len(updates) == 1 and self._is_lost_too_often(updates[0]):
                raise StoreRefused(str(error), is_certain=False) from error
            raise
        finally:
            self._asked_at = None

    async def why_no_times(self, update: DeviceUpdate) -> str | None:
        """See ``bad_rows.Settling``."""
        return await self._store.why_no_times(update)

    async def settle(self, updates: Sequence[DeviceUpdate], written: Written, refusal: RefusedPart | None) -> None:
        """See ``bad_rows.Settling``."""
        self._database_answered()
        self._lost_alone = ("", 0)  # not before: an update without one of its values may well go through
        if self._is_spooled:
            self._outcomes.append((updates, written, refusal))
            return
        if not self._path.is_known:
            # A save takes all that is in flight, so what is settled together is there as a whole or not at all.
            await self._path.until_known()
        if not self._backlog.is_in_flight_saved:
            self._count(updates, written, refusal)
            self._settled.update([update.uuid for update in updates])

    def _is_lost_too_often(self, update: DeviceUpdate) -> bool:
        """Whether this update alone has ended its connection so often that its value may be what does it, as of one
        that a proxy on the way does not let through. Nothing but times is never at fault: then the server is away.
        """
        last, times = self._lost_alone
        self._lost_alone = (update.uuid, times + 1 if update.uuid == last else 1)
        has_value = update.document is not None or update.status is not None
        return has_value and self._lost_alone[1] >= MAX_LOST_ALONE

    def _count(self, updates: Sequence[DeviceUpdate], written: Written, refusal: RefusedPart | None) -> None:
        """Count what became of deliveries; whatever fails in that, what is committed must be acknowledged."""
        try:
            committed: Sequence[DeviceUpdate] = updates
            refused = 0
            if refusal is not None:
                (update,) = updates
                refused = refusal.deliveries
                self._refusals.refused_by_table(update.uuid, refusal.column, refusal.reason, refused)
                if refusal.column is None:
                    for listener in self._listeners:
                        listener.row_refused(update)
                    return
            if written.unknown or written.newer:
                committed = self._count_apart(updates, written, refused)
                refused = refused if committed else 0
            for spellings in (written.shared, written.doubled):
                if spellings:
                    self._refusals.ambiguous(spellings, has_many_rows=spellings is written.doubled)
            stored = 0
            for update in committed:
                stored += update.kinds.bit_count()  # as its deliveries, without a call
            self._counters.stored += stored - refused
            for listener in self._listeners:
                listener.rows_committed(committed, is_spooled=self._is_spooled)
        except Exception:
            self._log.failure(log_lines.LISTENER_FAILED_UNEXPECTEDLY)
        finally:
            for update in updates:
                update.kinds = 0

    def _count_apart(self, updates: Sequence[DeviceUpdate], written: Written, refused: int) -> list[DeviceUpdate]:
        """Count those that were not assigned anywhere; returns the others."""
        committed = []
        for update in updates:
            if update.uuid in written.unknown:
                self._refusals.unknown_device(update.uuid, update.deliveries - refused)
            elif update.uuid in written.newer:
                self._counters.superseded += update.deliveries - refused
            else:
                committed.append(update)
        return committed
