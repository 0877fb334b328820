"""Puts together what ``HA_MODE=standby`` adds; without it each of these is what it is anyway."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.interfaces import IStreamClientEndpoint

from ..ingest.committed_times import CommittedTimes
from ..mqtt.options import ConnectOptions
from ..mqtt.rivals import Rivals
from ..mqtt.shared_subscriber import SharedSubscriber
from ..mqtt.subscriber import Subscriber
from ..settings.instance import name_or_host, topic_or_usual
from ..settings.settings import Settings
from ..spool.spooler import Spooler
from ..table.contract import StoreService
from ..table.fence import Fence, ImpatientFence
from ..table.mysql import DeviceTable
from ..writing.writer import Writer
from .observer import Observer
from .proven_spooler import ProvenSpooler
from .standing import Standing

CLOSE_INTERVAL = 1.0  # s between two looks at idle connections


def standing_of(
    settings: Settings,
    endpoint: IStreamClientEndpoint,
    options: ConnectOptions,
    reactor: Any,
    *,
    host: str,
    wall_clock: Callable[[], float],
    jitter: Callable[[], float],
) -> Standing | None:
    """Who decides whether this instance writes; None: it always does.

    :param options: what the session's connection asks for.
    :param host: what this host is called.
    """
    if settings.ha_mode == "off":
        return None
    run, topic = secrets.token_hex(8), topic_or_usual(settings.ha_topic, settings.mqtt_client_id)
    watching = replace(options, client_id=f"{options.client_id}-{run}")
    return Standing(
        name=name_or_host(settings.ha_name, host),
        run=run,
        topic=topic,
        clock=reactor,
        wall_clock=wall_clock,
        observer=lambda seen, looks: Observer(
            endpoint, watching, topic, settings.mqtt_protocol, reactor, seen=seen, looks=looks
        ),
        in_reactor=reactor.callFromThread,
        jitter=jitter(),
    )


def services_of(
    turn: Standing | Rivals, writer: Writer, table: StoreService, committed: CommittedTimes | None, reactor: Any
) -> list[Any]:
    """What runs beside the others.

    :param turn: who says whether what was received is ours to write.
    :param committed: knows what the table holds, as long as nobody else writes.
    """
    forgetting = [] if committed is None else [committed.forget]
    if isinstance(turn, Rivals):
        turn.serve(writer, doubted=forgetting)
        return []
    turn.serve(abandoned=[writer.abandon, *forgetting], wake=writer.wake)
    services: list[Any] = [turn]
    if isinstance(table, DeviceTable):
        closing = TimerService(CLOSE_INTERVAL, lambda: table.close_idle().addErrback(lambda _failure: None))
        closing.clock = reactor
        services.append(closing)
    return services


def fence_of(turn: Standing | Rivals) -> Fence:
    """What the table asks before each COMMIT."""
    return Fence(turn.prover) if isinstance(turn, Rivals) else ImpatientFence(turn.proof.prover)


def subscriber_of(standing: Standing | None) -> Callable[..., Subscriber]:
    """Makes the subscriber."""
    return Subscriber if standing is None else partial(SharedSubscriber, standing)


def spooler_of(standing: Standing | None) -> Callable[..., Spooler]:
    """Makes the spooler."""
    return Spooler if standing is None else partial(ProvenSpooler, standing.proof)


def with_will(standing: Standing | None, options: ConnectOptions) -> ConnectOptions:
    """What the session's connection asks for, with what the broker is to say when it breaks."""
    return options if standing is None else replace(options, will=standing.will())
