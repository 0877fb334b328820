"""Where the broker is: any name that the system resolves, also one that is no host name, as compose's services have."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from ..telemetry import reasons

_ANY = "broker.invalid"  # a name that HostnameEndpoint accepts; never looked up


@implementer(IStreamClientEndpoint)
class BrokerEndpoint:
    """A TCP endpoint that tries every address of a name, like ``HostnameEndpoint``, and takes every name.

    That one refuses what IDNA does, such as ``mqtt_broker``, before anybody is asked. The look-up is the reactor's own:
    ``getaddrinfo`` in a thread, so ``/etc/hosts``, search domains and a container engine's names count.
    """

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._host = host
        self._endpoint = HostnameEndpoint(_WithNames(reactor, host), _ANY, port)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 Twisted's way
        """Connect to the address that answers first.

        Fails with ``DNSLookupError`` where the name has none.
        """
        return self._endpoint.connect(protocolFactory).addErrback(self._name_it)

    def _name_it(self, failure: Any) -> Any:
        if failure.check(DNSLookupError):
            return fail(DNSLookupError(reasons.NO_ADDRESS.fill(host=self._host)))
        return failure


@implementer(IReactorPluggableNameResolver)
class _WithNames:
    """A reactor that looks up one name, whatever it is asked for."""

    def __init__(self, reactor: Any, host: str) -> None:
        self._reactor = reactor
        self._host = host

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    @property
    def nameResolver(self) -> IHostnameResolver:  # noqa: N802 Twisted's way
        """The reactor's own, at the time of asking, with our name."""
        return _OneName(self._reactor.nameResolver, self._host)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:  # noqa: N802
        """See ``IReactorPluggableNameResolver``: the reactor's own is exchanged."""
        before: IHostnameResolver = self._reactor.installNameResolver(resolver)
        return before


@implementer(IHostnameResolver)
class _OneName:
    def __init__(self, resolver: IHostnameResolver, host: str) -> None:
        self._resolver = resolver
        self._host = host

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803, ARG002
        *arguments: Any,
        **named: Any,
    ) -> IHostResolution:
        """See ``IHostnameResolver``; our name is looked up, and not the one that is asked for."""
        return self._resolver.resolveHostName(resolutionReceiver, self._host, *arguments, **named)
