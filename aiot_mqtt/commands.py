"""The subcommands of ``aiot-mqtt``, which run instead of the service: its settings, a reactor, an exit code."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.logger import formatEvent

from . import __version__
from .check import command as check
from .check.report import EXIT_BROKEN
from .devices.report import is_device
from .health import alone
from .health import command as health
from .health import why_command as why
from .mqtt.errors import MqttError
from .mqtt.tls_endpoint import broker_endpoint, sends_password_in_clear
from .process import EXIT_CONFIG, become, environment, exit_for, global_reactor, read_settings, say, session_file
from .settings.settings import DEFAULT_ENV_FILE, ConfigError, Settings
from .simulate.publisher import Publisher, PublisherOptions
from .spool import command as spool
from .spool.owner import spool_owner
from .table.device_row import Found
from .table.mysql import DeviceTable
from .table.named import device_table
from .telemetry import log_lines, reasons
from .telemetry.logs import in_chinese, in_english
from .telemetry.network import failure_reason
from .telemetry.printed import printed

T = TypeVar("T")

STATE_DIRECTORY = "/var/lib/mqtt-service"  # which the unit gives the service for its spool
TIMEOUT = 10.0  # s for each of: name look-up with TCP and TLS, CONNACK, DISCONNECT


def run_simulation(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt simulate`` with the options of ``simulate.add_options``; ends the process."""
    from .simulate.command import Progress, run  # noqa: PLC0415 the service itself never needs it

    settings, _ = read_settings(parsed.env_file)
    if parsed.broker:
        settings = replace(settings, mqtt_broker=parsed.broker[0], mqtt_port=parsed.broker[1])
    # Beside the summary, so that standard output can be piped on.
    can_redraw = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    progress = Progress(sys.stderr, is_terminal=can_redraw)

    if sends_password_in_clear(settings):
        progress.say(log_lines.ENGLISH[log_lines.MQTT_PASSWORD_IN_CLEAR].format(host=settings.mqtt_broker))

    async def simulating(reactor: Any) -> NoReturn:
        endpoint = broker_endpoint(settings, reactor)
        sys.exit(await run(parsed, settings, endpoint=endpoint, reactor=reactor, output=sys.stdout, progress=progress))

    _react(simulating, settings.log_language)


def run_spool(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt spool`` with the options of ``spool.command.add_options``; ends the process."""
    settings, _ = read_settings(parsed.env_file)
    if not (parsed.path or settings.spool_file):
        say("aiot-mqtt spool: SPOOL_FILE is empty: there is none")
        sys.exit(EXIT_CONFIG)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    ask = input if sys.stdin is not None and sys.stdin.isatty() else None
    path = Path(settings.spool_file)
    sys.exit(spool.run(parsed, path, spool_owner(settings), output=sys.stdout, errors=sys.stderr, ask=ask))


def run_status(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt status`` with the options of ``health.command.add_options``; ends the process."""
    settings, address = _settings_to_ask(parsed)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    language = settings.log_language
    try:
        look = partial(health.show_status, address, settings.http_token.reveal(), language, output=sys.stdout)
        sys.exit(printed(partial(look, as_json=parsed.as_json, watch=parsed.watch), health.EXIT_UNKNOWN))
    except KeyboardInterrupt:
        sys.exit(0)
    except health.NotRunning as error:
        not_running = error

    def tell(found: tuple[int, int] | None, no_answer: str) -> NoReturn:
        lines = [alone.spool_alone(settings.spool_file), alone.table_alone(found, no_answer)]
        words = health.not_running(not_running, lines, language, as_json=parsed.as_json) + "\n"
        sys.exit(printed(lambda: sys.stdout.write(words) and health.EXIT_UNKNOWN, health.EXIT_UNKNOWN))

    _ask_table(settings, DeviceTable.count_devices, tell)


def _ask_table(
    settings: Settings, ask: Callable[[DeviceTable], Deferred[T]], tell: Callable[[T | None, str], NoReturn]
) -> NoReturn:
    """Ask the table while the service does not. :param tell: ends the process."""

    async def asking(reactor: Any) -> NoReturn:
        table = device_table(replace(settings, db_pool_size=1, db_max_overflow=0), reactor)
        tell(*await alone.ask_table(table, ask, reactor))

    _react(asking, settings.log_language)


def run_why(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt why`` with the options of ``why_command.add_options``; ends the process."""
    settings, _ = read_settings(parsed.env_file)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    no_service: str | None = None

    def tell(answered: dict[str, Any]) -> NoReturn:
        sys.exit(printed(lambda: why.tell(answered, settings.log_language, sys.stdout, is_json=parsed.as_json), 2))

    if settings.http_listen is not None:
        try:
            tell(why.ask_service(settings.http_listen, settings.http_token.reveal(), parsed.uuid))
        except health.NotRunning as error:
            no_service = error.args[0] if error.is_there else None

    def without_service(found: Found | None, no_answer: str | None) -> NoReturn:
        table, zone = settings.db_table, settings.db_timezone
        why_not = {"no_answer": no_answer or None, "no_service": no_service}
        tell(why.without_service(parsed.uuid, found, table=table, zone=zone, **why_not))

    if not is_device(parsed.uuid):
        without_service(None, None)
    _ask_table(settings, lambda table: table.find_device(parsed.uuid), without_service)


def run_health(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt health``; ends the process, with 0 while the service's reactor turns, else with 1."""
    _, address = _settings_to_ask(parsed)
    sys.exit(0 if health.is_alive(address) else 1)


def _settings_to_ask(parsed: argparse.Namespace) -> tuple[Settings, tuple[str, int]]:
    settings, _ = read_settings(parsed.env_file)
    if settings.http_listen is None:
        say(f"aiot-mqtt {parsed.command}: HTTP_LISTEN is empty: the service cannot be asked")
        sys.exit(EXIT_CONFIG)
    return settings, settings.http_listen


def run_check(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt check`` with the options of ``check.command.add_options``; ends the process."""
    _leave_at_once_when_told()
    is_service_user = become(parsed.user)
    environ = environment()
    if "STATE_DIRECTORY" not in environ and os.access(STATE_DIRECTORY, os.R_OK | os.X_OK) and os.geteuid():
        environ["STATE_DIRECTORY"] = STATE_DIRECTORY
    checking = check.Check(parsed.only, parsed.listen, __version__)
    settings, language = check.read(environ, parsed.env_file, checking)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    file = Path(parsed.env_file or DEFAULT_ENV_FILE).absolute()

    is_watched = False

    def finish() -> NoReturn:
        wanted_user = "" if is_service_user else parsed.user
        shown = str(file) if parsed.env_file or os.path.exists(file) else ""
        run = checking.result(file=shown, language=language, wanted_user=wanted_user)
        if is_watched:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        for breakdown in checking.findings.breakdowns:
            say(breakdown)
        code = printed(lambda: check.tell(run, parsed, sys.stdout), EXIT_BROKEN)
        os._exit(code)  # a thread may wait for a server that does not answer

    if settings is None:
        finish()
    usable = settings
    if parsed.grant:
        try:
            sys.stdout.write(check.grant(usable) + "\n")
        except ConfigError as error:
            exit_for(error, settings.log_language)
        sys.exit(0)
    is_watched = sys.stderr.isatty() and not parsed.as_json
    if is_watched:
        sys.stderr.write(check.waiting(parsed.listen, language))
        sys.stderr.flush()

    async def looking(reactor: Any) -> None:
        reactor.callWhenRunning(_leave_at_once_when_told)
        try:
            await checking.run(usable, spool_owner, reactor)
        except Exception:
            checking.findings.breakdowns.append(traceback.format_exc())
        finish()

    react(looking, _reactor=global_reactor())
    raise AssertionError("it has ended by now")


def _leave_at_once_when_told() -> None:
    """End with a signal as a shell expects it, whatever is waited for: nothing is written that could stay half done."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: os._exit(128 + number))


def run_forget_session(parsed: argparse.Namespace) -> NoReturn:
    """``aiot-mqtt forget-session``; ends the process, with 69 where the broker cannot be reached or refuses."""
    settings, _ = read_settings(parsed.env_file)

    def tell(line: str, **fields: object) -> None:
        event = {"log_format": line, "host": settings.mqtt_broker, "port": settings.mqtt_port, **fields}
        say(formatEvent((in_chinese if settings.log_language == "zh" else in_english)(event)))

    async def forgetting(reactor: Any) -> NoReturn:
        try:
            await forget_session(settings, broker_endpoint(settings, reactor), reactor)
        except MqttError as error:
            tell(log_lines.SESSION_NOT_FORGOTTEN, reason=str(error))
            sys.exit(os.EX_UNAVAILABLE)
        if (note := session_file(settings)) is not None:
            with contextlib.suppress(OSError):
                note.unlink()  # else the next start would take it for lost
        tell(log_lines.SESSION_FORGOTTEN, client_id=settings.mqtt_client_id)
        sys.exit(0)

    _react(forgetting, settings.log_language)


def _react(work: Callable[[Any], Coroutine[Any, Any, NoReturn]], language: str) -> NoReturn:
    """Run what ends the process."""
    try:
        react(work, _reactor=global_reactor())
    except ConfigError as error:
        exit_for(error, language)
    raise AssertionError("it has ended by now")


async def forget_session(settings: Settings, endpoint: IStreamClientEndpoint, reactor: Any) -> None:
    """Take the session's place with one that is clean and ends at once (sections 3.1.2.4 and 3.1.2.11.2 of MQTT 5).

    :raises MqttError: the broker cannot be reached, or refuses.
    """
    versions = {"auto": (True, False), "5": (True,), "3.1.1": (False,)}[settings.mqtt_protocol]
    for mqtt5 in versions:
        try:
            await _connect_and_leave(settings, mqtt5, endpoint, reactor)
        except MqttError:
            if mqtt5 is versions[-1]:
                raise
        else:
            return


async def _connect_and_leave(settings: Settings, mqtt5: bool, endpoint: IStreamClientEndpoint, reactor: Any) -> None:
    # It asks for a clean session, and for none to be kept.
    name, password = settings.mqtt_username, settings.mqtt_password.reveal()
    options = PublisherOptions(settings.mqtt_client_id, mqtt5=mqtt5, username=name, password=password)
    connection = Publisher(options, reactor, lambda: None)
    factory: Any = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    try:
        await endpoint.connect(factory).addTimeout(TIMEOUT, reactor)
        await connection.accepted.addTimeout(TIMEOUT, reactor)
        await connection.disconnect().addTimeout(TIMEOUT, reactor)
    except MqttError:
        raise
    except NotInTime:
        reason = reasons.NO_ANSWER_IN_TIME.fill(seconds=round(TIMEOUT))
        connection.abort(reason)
        raise MqttError(reason) from None
    except Exception as error:
        raise MqttError(failure_reason(error)) from error


RUN: Mapping[str, Callable[[argparse.Namespace], NoReturn]] = {
    "check": run_check,
    "forget-session": run_forget_session,
    "health": run_health,
    "simulate": run_simulation,
    "spool": run_spool,
    "status": run_status,
    "why": run_why,
}
"""By the name of the subcommand; each ends the process."""
