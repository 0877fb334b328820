"""What the service is to the operating system: environment, standard streams, exit codes, signals, leaving in time.

With ``tap``, twistd's face, the only place that sees ``os.environ`` and the global reactor.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import signal
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any, NoReturn

from twisted.logger import Logger

from . import __version__
from .settings.earlier_service import looks_url_encoded
from .settings.exposure import exposed_files
from .settings.parsers import split_hosts
from .settings.settings import ConfigError, Settings, Texts, judge, read_texts
from .telemetry import log_lines, reasons
from .telemetry.logs import Log
from .telemetry.network import os_reason
from .telemetry.streams import open_streams

EXIT_CONFIG = os.EX_CONFIG  # 78; the unit's RestartPreventExitStatus= names it
DAEMON_LOG_FILE = "mqtt_service.log"
NOT_FOR_OTHERS = 0o027  # a umask: what is made is neither read nor written by others, nor written by the group
LAST_LINES = 1.0  # s that the end of the process waits for a reader of the log


def open_standard_streams() -> None:
    """Put the null device where standard input, output or error is closed.

    A socket or a file that got the number of one would be taken for it, and whoever prints would fail.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 it stays open
            setattr(sys, name, stream)


def read_settings(env_file: str | None) -> tuple[Settings, Texts]:
    """The settings of this process, and what they were read from; with mistakes, print every one and exit with 78."""
    environ, texts = environment(), None
    try:
        texts = read_texts(environ, env_file)
        return judge(texts), texts
    except ConfigError as error:
        exit_for(error, environ.get("LOG_LANGUAGE", "") if texts is None else texts.by_name.get("LOG_LANGUAGE", ""))


def environment() -> dict[str, str]:
    """As UTF-8 whatever the locale: in the C locale os.environ holds a password's é as two surrogates."""
    return {name.decode("ascii", "replace"): _utf8(value) for name, value in os.environb.items()}


def become(user: str) -> bool:
    """As root, become this user with his groups, for good; whether there is such a user, or nothing had to be done."""
    if os.geteuid() != 0:
        return True
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        return False
    os.initgroups(user, found.pw_gid)
    os.setgid(found.pw_gid)
    os.setuid(found.pw_uid)
    return True


def for_trial(settings: Settings) -> Settings:
    """The same for a first look, which leaves nothing behind and takes nothing from a session that is kept."""
    return replace(settings, mqtt_client_id=f"{settings.mqtt_client_id}-try", spool_file="", ha_mode="off")


def session_file(settings: Settings) -> Path | None:
    """Where the service notes when it left its session: beside the spool; None where it keeps nothing on this host."""
    return Path(f"{settings.spool_file}.session").absolute() if settings.spool_file else None


def _utf8(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def exit_for(error: ConfigError, language: str = "zh") -> NoReturn:
    """Print every mistake, and exit without a traceback.

    :param language: that of the log; any that is none means Chinese.
    """
    lines = [reasons.HEADING, *(reasons.LIST_ITEM.fill(text=mistake) for mistake in error.mistakes)]
    say("\n".join(line[:] if language.strip() == "en" else line.chinese for line in lines))
    sys.exit(EXIT_CONFIG)


def say(text: str) -> None:
    """Print to standard error, in UTF-8 whatever the locale, unless nobody reads it."""
    data = (text + "\n").encode("utf-8", "backslashreplace")

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stderr.fileno(), data)

    # In a thread, because a pipe that is full would hold up the end of the process.
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(LAST_LINES)


def global_reactor() -> Any:
    """The reactor that twistd has chosen, on a clock that never goes back."""
    from twisted.internet import reactor  # noqa: PLC0415 importing it chooses it, which is up to twistd

    # Twisted's reactors count wall time, so a clock that is set back stops every timer (its issue 2424).
    setattr(reactor, "seconds", time.monotonic)  # noqa: B010 mypy takes it for a method
    return reactor


def open_log(settings: Settings, twistd: MutableMapping[str, Any]) -> Log:
    """Standard output in the foreground, and ``LOG_FILE`` or ``--logfile`` besides; a daemon always has a file.

    :raises ConfigError: the file cannot be written.
    """
    is_daemon = not twistd.get("nodaemon")
    named = twistd.get("logfile")
    named = "" if named in (None, "-") else named
    try:
        streams = open_streams(
            settings.log_file or named or (DAEMON_LOG_FILE if is_daemon else ""),
            on_terminal=not is_daemon,
            rotates=settings.log_rotate == "size",
        )
    except OSError as error:
        option = "--logfile" if named and not settings.log_file else "LOG_FILE"
        what = reasons.CANNOT_BE_WRITTEN.fill(reason=os_reason(error))
        raise ConfigError([reasons.MISTAKE_AT.fill(where=option, what=what)]) from None
    return Log(streams, level=settings.log_level, log_format=settings.log_format, language=settings.log_language)


def tell_start(settings: Settings) -> None:
    """Say first of all what runs, and with what: whoever reads a log that somebody sent needs that."""
    timeout, spool = settings.heartbeat_timeout, settings.spool_file
    Logger().info(
        log_lines.STARTING,
        version=__version__,
        broker=f"{settings.mqtt_broker}:{settings.mqtt_port}",
        prefix=settings.mqtt_topic_prefix,
        database=f"{_servers(settings)}/{settings.db_name}.{settings.db_table}",
        offline=reasons.OFFLINE_AFTER.fill(seconds=timeout) if timeout else reasons.NOBODY_OFFLINE,
        spool=reasons.SPOOL_AT.fill(path=Path(spool).absolute()) if spool else reasons.NO_SPOOL,
    )


def _servers(settings: Settings) -> str:
    return ",".join(f"{host}:{port}" for host, port in split_hosts(settings.db_host, settings.db_port))


def warn_of_settings(settings: Settings, texts: Texts) -> None:
    """Say what is no mistake in the settings, but most likely not meant."""
    log = Logger()
    for name, path, mode in exposed_files(texts):
        log.warn(log_lines.FILE_EXPOSED, name=name, path=path, mode=f"{mode:04o}")
    if looks_url_encoded(settings.db_password.reveal()):
        log.warn(log_lines.PASSWORD_URL_ENCODED)


def keep_files_private(twistd: MutableMapping[str, Any]) -> None:
    """Have twistd make its pid file, and whatever the process makes later, for nobody else."""
    umask = twistd.get("umask")
    if umask is None:
        umask = os.umask(NOT_FOR_OTHERS)
        umask = umask if twistd.get("nodaemon") else 0o077  # a daemon's, by twistd
    twistd["umask"] = umask | NOT_FOR_OTHERS
    os.umask(twistd["umask"])


class Process:
    """The end of the process, and its signals.

    A signal to stop, and ``stop_began``, start a clock: when it runs out, the process leaves, whatever is stuck.
    SIGUSR1 and SIGHUP have the log opened anew; where SIGHUP is because the terminal was closed, the service stops.
    """

    _log = Logger()

    def __init__(self, log: Log | None, stop_within: float, *, is_daemon: bool) -> None:
        """
        :param log: None where twistd was told to log in a way of its own.
        :param stop_within: seconds that stopping may take.
        """
        self._lines = log
        self._stop_within = stop_within
        self._is_daemon = is_daemon
        self._stops: SimpleQueue[None] = SimpleQueue()  # a signal may interrupt whoever puts something in
        self._terminals = [] if is_daemon else [number for number in range(3) if os.isatty(number)]

    def attach(self, reactor: Any) -> None:
        """Have the signals and the end of this process go through here. To be called before the reactor runs."""
        self._reactor = reactor
        if self._lines is not None:
            if not self._is_daemon:
                self._lines.start()
            reactor.addSystemEventTrigger("after", "shutdown", self._lines.finish, LAST_LINES)
            atexit.register(self._lines.finish, LAST_LINES)  # should it never run
        signal.signal(signal.SIGHUP, lambda _number, _frame: reactor.callFromThread(self._hang_up))
        signal.signal(signal.SIGUSR1, lambda _number, _frame: reactor.callFromThread(self._reopen, "SIGUSR1"))
        # By then a daemon has forked, and the reactor has set its own handlers.
        reactor.callWhenRunning(self._reactor_runs)

    def stop_began(self, _seconds: float = 0.0) -> None:
        """The service is about to stop, for whatever reason."""
        self._stops.put(None)

    def _reactor_runs(self) -> None:
        if self._lines is not None:
            self._lines.start()
        threading.Thread(target=self._leave_in_time, name="leave in time", daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                signal.signal(number, self._stop_handler(handler))

    def _stop_handler(self, handler: Callable[[int, FrameType | None], object]) -> Callable[..., None]:
        def stop(number: int, frame: FrameType | None) -> None:
            # A second signal ends the process at once: what is unacknowledged is safe in the broker.
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.SIG_DFL)
            self.stop_began()
            handler(number, frame)

        return stop

    def _hang_up(self) -> None:
        if self._terminals and not any(os.isatty(number) for number in self._terminals):
            self._log.info(log_lines.TERMINAL_CLOSED)
            self.stop_began()
            self._reactor.stop()
        else:
            self._reopen("SIGHUP")

    def _reopen(self, name: str) -> None:
        if self._lines is not None:
            self._lines.reopen()
            self._log.info(log_lines.LOG_REOPENED, signal=name)  # which is in the new file

    def _leave_in_time(self) -> None:
        """In a thread: the reactor may be what is stuck, or wait without end for a thread in a name look-up."""
        self._stops.get()
        time.sleep(self._stop_within)
        self._log.warn(log_lines.STOP_FORCED, seconds=self._stop_within)
        if self._lines is not None:
            self._lines.finish(0.1)
        os._exit(0)
