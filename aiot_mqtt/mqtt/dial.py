"""Dialling a broker: name look-up, TCP, TLS."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as NotInTime  # not the builtin one
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol

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
        raise MqttError(f"no connection within {timeout:.0f} s") from None
    except Exception as error:
        raise MqttError(str(error) or repr(error)) from error
