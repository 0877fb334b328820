"""The way to the broker: TCP, and with ``MQTT_TLS`` a protocol that is connected only once the broker was checked.

Whatever speaks MQTT over one of these, the service or a simulated fleet, sends nothing before that.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from ..settings.settings import Settings
from ..tls.client import TlsClient, TlsSession
from ..tls.loopback import is_loopback
from ..tls.refusal import Peer
from .endpoint import BrokerEndpoint


def broker_endpoint(settings: Settings, reactor: Any) -> IStreamClientEndpoint:
    """Where the settings say that the broker is.

    :raises ConfigError: a certificate or key cannot be used.
    """
    endpoint = BrokerEndpoint(reactor, settings.mqtt_broker, settings.mqtt_port)
    if not settings.mqtt_tls:
        return endpoint
    tls = TlsClient(
        Peer("the broker", "Broker", "MQTT", "MQTT_BROKER", settings.mqtt_broker),
        ca_file=settings.mqtt_ca_file,
        cert_file=settings.mqtt_cert_file,
        key_file=settings.mqtt_key_file,
        pin=settings.mqtt_tls_fingerprint,
    )
    return TlsEndpoint(endpoint, tls)


def sends_password_in_clear(settings: Settings) -> bool:
    """Whether everybody on the way to the broker could read the password."""
    return bool(settings.mqtt_password) and not settings.mqtt_tls and not is_loopback(settings.mqtt_broker)


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """TLS over another endpoint; ``connect`` is done when the peer was checked, and fails with ``TlsRefused``."""

    def __init__(self, endpoint: IStreamClientEndpoint, tls: TlsClient) -> None:
        self._endpoint = endpoint
        self.tls = tls

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 the interface's name
        """See ``IStreamClientEndpoint``."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        session = self.tls.session()
        handshake = _Handshake(factory, session)
        inner = Factory.forProtocol(lambda: handshake)
        inner.noisy = False
        await self._endpoint.connect(TLSMemoryBIOFactory(_Creator(session), True, inner))
        return await handshake.checked


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Hands Twisted the connection of a session, and so leaves it nothing to verify."""

    def __init__(self, session: TlsSession) -> None:
        self._session = session

    def clientConnectionForTLS(self, _protocol: object) -> SSL.Connection:  # noqa: N802 the interface's name
        """See ``IOpenSSLClientConnectionCreator``."""
        return self._session.connection


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """Stands between TLS and the protocol proper, which it connects once the peer was checked.

    :ivar checked: fires with that protocol, or fails with ``TlsRefused``; cancelling it closes the connection.
    """

    def __init__(self, factory: IProtocolFactory, session: TlsSession) -> None:
        self._factory = factory
        self._session = session
        self._protocol: IProtocol | None = None
        self.checked: Deferred[IProtocol] = Deferred(lambda _checked: self._abort())

    def handshakeCompleted(self) -> None:  # noqa: N802 the interface's name
        """Check the peer, and only then let the protocol proper send."""
        if self.checked.called:
            return
        try:
            self._session.check()
        except Exception as error:  # whatever it is, nothing is sent
            self._abort()
            self.checked.errback(self._session.refused(error))
            return
        protocol = self._protocol = self._factory.buildProtocol(self._transport().getPeer())
        assert protocol is not None
        protocol.makeConnection(self._transport())
        self.checked.callback(protocol)

    def dataReceived(self, data: bytes) -> None:
        """Decrypted bytes from the peer."""
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; what OpenSSL says of it is put in words."""
        if self._protocol is None:
            if not self.checked.called:
                is_closed = reason.check(ConnectionDone, ConnectionLost) is not None
                self.checked.errback(self._session.refused(None if is_closed else reason.value))
            return
        if reason.check(SSL.Error) is not None:
            reason = Failure(self._session.refused(reason.value))
        self._protocol.connectionLost(reason)

    def _abort(self) -> None:
        if self.transport is not None:
            self._transport().abortConnection()

    def _transport(self) -> Any:
        return self.transport
