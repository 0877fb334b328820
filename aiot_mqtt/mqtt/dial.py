"""Dialling a broker: name look-up, TCP, TLS; and how long it may take with an answer."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet import error as twisted_error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from ..telemetry import reasons
from ..telemetry.bilingual import Bilingual
from ..telemetry.network import failure_reason
from ..tls.refusal import TlsRefused
from .connection import MqttConnection
from .errors import MqttError

T = TypeVar("T")


async def dial(endpoint: IStreamClientEndpoint, connection: Protocol, clock: IReactorTime, timeout: float) -> None:
    """Connect a protocol; may be cancelled.

    :param timeout: seconds that it may take.
    :raises MqttError: it is not connected; the text says why.
    """
    factory = Factory.forProtocol(lambda: connection)
    factory.noisy = False
    dialling = endpoint.connect(factory)
    try:
        await dialling.addTimeout(timeout, clock)
    except CancelledError:
        raise
    except NotInTime:
        reason = reasons.NO_CONNECTION_IN_TIME.fill(seconds=round(timeout))
        raise MqttError(reason, reasons.ADVICE_UNREACHABLE) from None
    except Exception as error:
        raise MqttError(failure_reason(error), _advice(error)) from error


async def answered_in_time(
    connection: MqttConnection, answer: Deferred[T], clock: IReactorTime, timeout: float, reason: str | None = None
) -> T:
    """Wait for what a broker answers on a connection, which ends where it does not.

    :param timeout: seconds that it may take. :param reason: what the connection ends with then.
    :raises MqttError: it does not.
    """
    silence = reason or reasons.NO_ANSWER_IN_TIME.fill(seconds=round(timeout))
    giving_up = clock.callLater(timeout, connection.abort_unanswered, silence)
    try:
        return await answer
    finally:
        if giving_up.active():
            giving_up.cancel()


def _advice(error: Exception) -> Bilingual:
    if isinstance(error, TlsRefused):
        return reasons.ADVICE_CHECK  # its text says more
    if isinstance(error, twisted_error.DNSLookupError | twisted_error.UnknownHostError):
        return reasons.ADVICE_NAME
    if isinstance(error, twisted_error.ConnectionRefusedError):
        return reasons.ADVICE_REFUSED
    return reasons.ADVICE_UNREACHABLE if isinstance(error, twisted_error.ConnectError) else reasons.ADVICE_CHECK
