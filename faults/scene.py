"""What a round is played with, and what a fault wants to be different from the ordinary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rig.brokers import RabbitCluster, RabbitMQ
from rig.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Scene:
    """What a round is played with."""

    database: str = "mariadb"
    """Or ``mysql``."""
    broker: str = "2.0"
    """Or ``2.1``."""
    quick: bool = False
    """Seconds where it would be a minute."""
    devices: int = 1000
    rate: float = 2000.0
    """Messages a second."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a fault wants to be different from the ordinary."""

    relayed: frozenset[str] = frozenset()
    """``broker``, ``database``: what the service reaches through a relay only."""
    persistence: bool = False
    """Whether the broker writes to disk when it is stopped."""
    queue: int | None = 1_000_000
    """The broker's ``max_queued_messages``; None: its own default of 1000."""
    settings: Mapping[str, str] | None = None
    """Of the service."""
    devices: int | None = None
    """Where it takes more, or less, than the scene's."""
    orders: tuple[str, ...] = ()
    """Commands for ``faults.service`` before it starts."""
    database: tuple[str, ...] = ()
    """Options of the database's server."""
    cluster: Callable[[], Cluster[Any]] | None = None
    """Makes the cluster that is there instead of one server."""
    is_proxied: bool = False
    """Whether the service has one address of the cluster, a proxy's, instead of those of all nodes."""
    rabbit: Callable[[], RabbitMQ | RabbitCluster] | None = None
    """Makes what is there instead of Mosquitto; a cluster is behind a proxy, to the service."""
    rate: float | None = None
    """Messages a second, where the scene's are too many."""
