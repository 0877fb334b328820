"""Dialling a broker: name look-up, TCP, TLS."""

from __future__ import annotations

from twisted.internet import error as twisted_error
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from ..telemetry import reasons
from ..telemetry.bilingual import Bilingual
from ..telemetry.network import failure_reason
from ..tls.refusal import TlsRefused
from .errors import MqttError


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


def _advice(error: Exception) -> Bilingual:
    if isinstance(error, TlsRefused):
        return reasons.ADVICE_CHECK  # its text says more
    if isinstance(error, twisted_error.DNSLookupError | twisted_error.UnknownHostError):
        return reasons.ADVICE_NAME
    if isinstance(error, twisted_error.ConnectionRefusedError):
        return reasons.ADVICE_REFUSED
    return reasons.ADVICE_UNREACHABLE if isinstance(error, twisted_error.ConnectError) else reasons.ADVICE_CHECK
