"""Who hears what the writer finds out, in the order in which they were added to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..devices.update import DeviceUpdate
from ..table.contract import TableDescription


class CommitListener(Protocol):
    """Who wants to hear of commits."""

    def rows_committed(self, updates: Sequence[DeviceUpdate], *, is_spooled: bool) -> None:
        """These updates are in the table; told in the order of the commits. Must not keep them.

        :param is_spooled: they were on disk, where something newer of the same devices may still be.
        """
        ...

    def row_refused(self, update: DeviceUpdate) -> None:
        """This update is not in the table: its device has a row, which takes none."""
        ...


class TableListener(Protocol):
    """Who wants to hear what the table says about itself."""

    def table_described(self, description: TableDescription) -> None:
        """The table was looked at, at the start or because it may have changed."""
        ...
