"""Listens on ``HTTP_LISTEN`` for as long as the service runs. A port that is taken is told and tried again: to be asked
is worth less than to run.
"""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.web.server import Site

from ..telemetry import log_lines
from ..telemetry.network import failure_reason
from ..telemetry.survive import start

RETRY_DELAY = 30.0  # s


class HttpListener(Service):
    """The port on which the site is served."""

    _log = Logger()

    def __init__(self, site: Site, address: tuple[str, int] | None, reactor: Any) -> None:
        """
        :param address: address and port to listen on; None: nowhere.
        :param reactor: ``IReactorTCP`` and ``IReactorTime``.
        """
        self._site = site
        self._address = address
        self._reactor = reactor
        self._listening: IListeningPort | None = None
        self._work: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to listen, at once or when the port is free."""
        super().startService()
        if self._address is not None:
            self._work = start(self._listen(*self._address), self._log, log_lines.HTTP_FAILED_UNEXPECTEDLY)

    def stopService(self) -> Deferred[Any]:
        """Listen no more; connections that there are end by themselves."""
        super().stopService()
        if self._work is not None:
            self._work.cancel()
        listening, self._listening = self._listening, None
        return maybeDeferred((lambda: None) if listening is None else listening.stopListening)

    async def _listen(self, host: str, port: int) -> None:
        is_told = False
        while True:
            try:
                self._listening = self._reactor.listenTCP(port, self._site, interface=host)
            except CannotListenError as error:
                if not is_told:
                    reason = failure_reason(error.socketError)
                    self._log.error(log_lines.HTTP_NOT_LISTENING, host=host, port=port, reason=reason)
                is_told = True
                await deferLater(self._reactor, RETRY_DELAY)
            else:
                self._log.info(log_lines.HTTP_LISTENING, host=host, port=port)
                return
