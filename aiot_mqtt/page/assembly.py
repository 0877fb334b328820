"""Puts together what tells how the service is: nothing here is on the way of a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from socket import gethostname
from typing import Any

from twisted.application.service import IService
from twisted.internet.interfaces import IStreamClientEndpoint

from ..health.alert_command import AlertCommand, alert_text
from ..health.besides import Besides
from ..health.details import of_devices
from ..health.device_ask import DeviceAsk
from ..health.history import History
from ..health.line_tally import LineTally
from ..health.listener import HttpListener
from ..health.overload import OverloadWatch
from ..health.pace import Pace
from ..health.room import COUNT_INTERVAL, COUNT_UNASKED, Room
from ..health.site import health_site, status
from ..health.state import judge
from ..health.statistics import Statistics
from ..health.systemd import Supervisor, Systemd
from ..health.trends import Trends
from ..health.watch import Watch
from ..health.why_resource import WhyResource
from ..mqtt.broker_drops import BrokerDrops
from ..mqtt.options import connect_options
from ..mqtt.subscriber import Subscriber
from ..presence.flips import Flips
from ..presence.monitor import PresenceMonitor
from ..settings.settings import Settings
from ..spool.spooler import Spooler
from ..standby.standing import Standing
from ..table.contract import StoreService
from ..table.mysql import DeviceTable
from ..telemetry.asked import Asked
from ..telemetry.counters import Counters
from ..telemetry.remembered import Remembered
from ..writing.writer import Writer
from .live import Live
from .looks import Looks
from .moment import Moment, take
from .resources import page_resources

SHOWN_STRANGERS = 5


def health_services(
    settings: Settings,
    reactor: Any,
    *,
    subscriber: Subscriber,
    writer: Writer,
    spooler: Spooler | None,
    presence: PresenceMonitor | None,
    counters: Counters,
    table: StoreService,
    endpoint: IStreamClientEndpoint,
    remembered: Remembered,
    asked: Asked,
    addresses: tuple[str, str],
    wall_clock: Callable[[], float],
    supervisor: Supervisor | None = None,
    standing: Standing | None = None,
    is_on_turn: Callable[[], bool] = lambda: True,
    asks_broker: bool = True,
) -> list[IService]:
    """What runs beside the way of a message for as long as the service does; all of it may stop first.

    :param endpoint: dialled for the broker.
    :param addresses: what the operator calls broker and database.
    :param wall_clock: seconds since the epoch.
    :param supervisor: systemd, where it started the process and wants to be told.
    :param standing: decides whether this instance writes; None: there is one only.
    :param is_on_turn: whether it is this instance's turn to dial the broker.
    :param asks_broker: ask the broker that the settings name what it drops.
    """
    drops = None
    if asks_broker:
        drops = BrokerDrops(
            endpoint,
            connect_options(settings, is_trial=True),
            subscriber,
            reactor,
            name=addresses[0],
            note=Path(f"{settings.spool_file}.broker").absolute() if settings.spool_file else None,
            in_thread=reactor.callInThread,
            wall_clock=wall_clock,
        )
    room = Room(spooler, table, reactor, count_unasked=max(COUNT_INTERVAL, settings.stats_interval or COUNT_UNASKED))
    ask_server = table.look_at_server if isinstance(table, DeviceTable) else None
    watch = Watch(
        subscriber=subscriber,
        room=room,
        overload=OverloadWatch(writer, spooler, counters, reactor, ask_server),
        drops=drops,
        remembered=remembered,
        standing=standing,
        writer=writer,
        spooler=spooler,
        presence=presence,
        counters=counters,
        clock=reactor,
        addresses=addresses,
        wall_clock=wall_clock,
    )
    writer.add_table_listener(watch)
    check_interval = None if presence is None else settings.heartbeat_check_interval
    pace = Pace(
        subscriber,
        writer,
        counters,
        reactor,
        check_interval=check_interval,
        is_on_turn=is_on_turn,
    )

    def is_listening() -> bool:
        return subscriber.is_listening if presence is None else presence.is_listening()

    history = History(counters)
    flips = Flips(wall_clock) if presence is None else presence.flips
    trends = Trends(writer, is_listening, reactor, wall_clock, history=history, flips=flips)
    writer.add_listener(trends)
    lines = LineTally()
    alerts = None
    if settings.alert_command:

        def told() -> dict[str, Any]:
            now, host = status(watch.figures()), gethostname()
            return {"text": alert_text(now, host, settings.log_language), **now, "host": host}

        alerts = AlertCommand(settings.alert_command, told, reactor)
    beside = Besides(
        subscriber=subscriber,
        pace=pace,
        trends=trends,
        lines=lines,
        alerts=alerts,
        room=room,
        table=table,
        endpoint=endpoint,
    )
    asking = DeviceAsk(
        table=table,
        writer=writer,
        spooler=spooler,
        presence=presence,
        remembered=remembered,
        asked=asked,
        clock=reactor,
        name=settings.db_table,
        timeout=settings.heartbeat_timeout and settings.heartbeat_timeout + settings.last_seen_resolution,
        zone=settings.db_timezone,
        wall_clock=wall_clock,
    )

    def moment() -> Moment:
        return take(watch.figures(), beside.now(), history, flips, remembered, now=reactor.seconds())

    looks = Looks(moment, settings.db_timezone, reactor)
    live = Live(looks.shown, reactor)
    token = settings.http_token.reveal()
    site = health_site(
        watch.figures,
        beside.now,
        pace.stalled,
        telling_devices=lambda: of_devices(
            remembered.newest_strangers(SHOWN_STRANGERS, reactor.seconds()), flips.newest
        ),
        showing_devices={"why": WhyResource(asking.facts)},
        open_to_all=page_resources(looks, live, asking.facts, token=token, language=settings.log_language),
        token=token,
    )
    services: list[IService] = [lines, pace, trends, watch, live, HttpListener(site, settings.http_listen, reactor)]
    if alerts is not None:
        services.append(alerts)
    if drops is not None:
        services.append(drops)
    if supervisor is not None:
        systemd = Systemd(
            supervisor,
            lambda: judge(watch.figures()),
            pace.stalled,
            reactor,
            language=settings.log_language,
            stop_within=settings.shutdown_timeout,
        )
        services.append(systemd)
    if settings.stats_interval:
        services.append(Statistics(counters, writer, settings.stats_interval, reactor, online=room.online))
    return services
