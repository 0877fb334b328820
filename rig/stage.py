"""The service with its page, among real servers, so that somebody can look at it while they come and go."""

from __future__ import annotations

import contextlib
import json
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import load, servers
from .programs import FOREGROUND, LINE_TIMEOUT, Program, settings_for
from .servers import Database, MariaDB, Mosquitto, free_port

OK, LOOK, PROTECTED, FAULT = "ok", "look", "protected", "fault"


def answered(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body of what is asked on loopback, whatever the status."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=LINE_TIMEOUT) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Stage:
    """A broker, a database with some devices, and the service; all of it ends with ``close``."""

    def __init__(self, uuids: Sequence[str], settings: Mapping[str, str], *, database: Database | None = None) -> None:
        """
        :param uuids: of the devices that the table has.
        :param settings: of the service, beside those that name its servers.
        :param database: one that runs and is not ours to close; otherwise a MariaDB of its own.
        """
        self.uuids = uuids
        self._endings = contextlib.ExitStack()
        self.folder = servers.private_folder()
        self._endings.callback(servers.remove_folder, self.folder)
        if database is None:
            database = self._endings.enter_context(MariaDB())
            database.create_device_table()
            database.grant()
        self.database = database
        database.add_devices(uuids)
        self.broker: Mosquitto = self._endings.enter_context(Mosquitto())
        self.port = free_port()
        self.spool = self.folder / "kept" / "spool"
        self.spool.parent.mkdir()
        self.settings = {
            **settings_for(self.broker, database),
            "HTTP_LISTEN": f"tcp:{self.port}:interface=127.0.0.1",
            "SPOOL_FILE": str(self.spool),
            **settings,
        }
        self._number = 0
        self.service = self.run_service()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        self._endings.close()

    def run_service(self) -> Program:
        """Start the service, where it does not run any more, and return once its page is there."""
        self.service = Program(FOREGROUND, self.settings, folder=self.folder)
        self._endings.callback(self.service.close)
        self.service.wait_for("/readyz")
        return self.service

    def address(self, language: str, *, port: int = 0, **asked: str) -> str:
        """Of the page. :param port: of a relay to it, where one stands between."""
        query = urllib.parse.urlencode({"lang": language, **asked})
        return f"http://127.0.0.1:{port or self.port}/?{query}"

    def publish(self, *messages: tuple[str, str]) -> None:
        """These, or where there are none, one of each device that is new."""
        if not messages:
            self._number += 1
            messages = tuple((f"devices/{uuid}/data", f'{{"n": {self._number}}}') for uuid in self.uuids)
        load.publish(self.broker.port, messages)

    def told(self) -> dict[str, Any]:
        """What ``/readyz`` tells."""
        return dict(json.loads(answered(self.port, "/readyz")[1]))

    def until(self, state: str) -> None:
        """Wait until the service says that it is in this state."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while (told := self.told())["state"] != state:
            if time.monotonic() > deadline:
                raise AssertionError(f"not {state}: {told}")
            time.sleep(0.05)

    @contextlib.contextmanager
    def database_away(self) -> Iterator[None]:
        """The database is stopped; what devices send meanwhile is kept."""
        self.database.stop()
        try:
            self.publish()
            yield
        finally:
            self.database.start()

    @contextlib.contextmanager
    def broker_away(self) -> Iterator[None]:
        """The broker is stopped."""
        self.broker.stop()
        try:
            yield
        finally:
            self.broker.start()

    @contextlib.contextmanager
    def disk_away(self) -> Iterator[None]:
        """The folder of the spool is gone, and something else has its name: nothing can be kept there."""
        aside = self.spool.parent.with_suffix(".aside")
        self.spool.parent.rename(aside)
        self.spool.parent.touch()
        try:
            yield
        finally:
            self.spool.parent.unlink()
            aside.rename(self.spool.parent)

    @contextlib.contextmanager
    def service_hangs(self) -> Iterator[None]:
        """The service stands still: its connections stay open, and nothing comes."""
        self.service.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.service.process.send_signal(signal.SIGCONT)
