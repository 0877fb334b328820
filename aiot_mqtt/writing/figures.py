"""What a writer tells of itself to those who look on."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ..spool.spooler import Spooler
from .backlog import Backlog
from .data_path import DataPath, State
from .retry import Retry
from .table_look import TableLook


class WriterFigures:
    """The figures of a writer; its parts are its own."""

    backlog: Backlog
    _clock: IReactorTime
    _path: DataPath
    _retry: Retry
    _spooler: Spooler | None
    _table: TableLook

    @property
    def spooled(self) -> int:
        """Deliveries that are acknowledged and on disk, and not in the table yet."""
        return 0 if self._spooler is None else self._spooler.deliveries

    @property
    def deliveries(self) -> int:
        """Deliveries neither stored nor superseded: those pending, those in flight, and those in the spool."""
        return self.backlog.deliveries + self.spooled

    @property
    def unacknowledged(self) -> int:
        """PUBLISH packets that wait for their acknowledgement."""
        return self.backlog.unacknowledged

    @property
    def state(self) -> State:
        """What the data path does now."""
        return self._path.state

    @property
    def oldest_age(self) -> float:
        """Seconds that the oldest of what is pending or in flight has waited."""
        return self.backlog.oldest_age(self._clock.seconds())

    @property
    def is_accepted(self) -> bool:
        """Whether the table holds all that was received but the last moments: its last write was taken, or there was
        none to take yet, and nothing older waits on disk.
        """
        return self._table.is_current and not self._retry.is_failing and self._path.state is State.DIRECT
