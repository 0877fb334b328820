"""A spool that takes only what came while the session was ours.

A process that was frozen finds in its socket what the broker has given to somebody else since, and takes it for new. On
disk it would bear the time at which it was read, which is later than that of what the other one has written meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..devices.update import DeviceUpdate
from ..spool.disk import SpoolError
from ..spool.spooler import Spooler
from ..telemetry.reasons import standby as reasons
from .proof import PATIENCE, Proof


class ProvenSpooler(Spooler):
    """Asks for a proof before each save, when what is to be saved is known."""

    def __init__(self, proof: Proof, *arguments: Any) -> None:
        """The others are a ``Spooler``'s."""
        super().__init__(*arguments)
        self._proof = proof

    async def save(self, updates: Sequence[DeviceUpdate]) -> None:
        """See ``Spooler.save``."""
        proved = self._proof.proved()
        giving_up = self._clock.callLater(PATIENCE, lambda: None if proved.called else proved.callback(False))
        try:
            is_ours = await proved
        finally:
            if giving_up.active():
                giving_up.cancel()
        if not is_ours:
            raise SpoolError(reasons.NOT_SAVED)
        await super().save(updates)
