"""Where messages are that wait for the database: the first thing that whoever reads of an outage wants to know."""

from __future__ import annotations

from collections.abc import Callable

from ..spool.spooler import Spooler
from ..telemetry import reasons
from ..telemetry.bilingual import Bilingual


def where_kept(spooler: Spooler | None) -> Callable[[], Bilingual]:
    """Says it at any time. :param spooler: None: nothing is kept on this host."""

    def where() -> Bilingual:
        if spooler is None:
            return reasons.IN_BROKER
        if spooler.trouble is not None:
            return reasons.SPOOL_FAILS
        return reasons.KEPT_HERE if spooler.deliveries else reasons.TO_BE_KEPT_HERE

    return where
