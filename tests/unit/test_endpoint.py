"""The broker's name is whatever the system makes of it."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet._resolver import GAIResolver
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from aiot_mqtt.mqtt.endpoint import BrokerEndpoint

reactor: Any = _reactor


class BrokerEndpointTests(TestCase):
    def setUp(self) -> None:
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self.port: Any = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.looked_up: list[str] = []

    def resolve(self, addresses: dict[str, list[str]]) -> None:
        """Have the system know these names only, as with a line in ``/etc/hosts`` each."""

        def look_up(host: Any, port: Any, *_: Any, **_more: Any) -> Any:
            self.looked_up.append(host)
            if host not in addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [
                found for each in addresses[host] for found in socket.getaddrinfo(each, port, 0, socket.SOCK_STREAM)
            ]

        before = reactor.nameResolver
        self.addCleanup(reactor.installNameResolver, before)
        reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=cast(Any, look_up)))

    async def connect(self, host: str) -> Any:
        endpoint = BrokerEndpoint(reactor, host, self.port.getHost().port)
        connected: Any = await endpoint.connect(Factory.forProtocol(Protocol))
        connected.transport.abortConnection()
        return connected.transport.getPeer()

    async def test_a_name_that_is_no_host_name_is_looked_up_as_it_is(self) -> None:
        names = ("mqtt_broker", "stack_mqtt.1", "-broker-", "Broker", "broker.")
        self.resolve({name: ["127.0.0.1"] for name in names})
        for name in names:
            self.assertEqual((await self.connect(name)).host, "127.0.0.1")
        self.assertEqual(self.looked_up, list(names))

    async def test_every_address_of_a_name_is_tried(self) -> None:
        self.resolve({"mqtt_broker": ["::1", "127.0.0.2", "127.0.0.1"]})
        self.assertEqual((await self.connect("mqtt_broker")).host, "127.0.0.1")

    async def test_an_address_is_one(self) -> None:
        self.assertEqual((await self.connect("127.0.0.1")).host, "127.0.0.1")

    async def test_a_name_without_an_address_is_said_by_its_name(self) -> None:
        self.resolve({})
        with self.assertRaises(DNSLookupError) as caught:
            await self.connect("mqtt_broker")
        self.assertIn("no address is known for the name mqtt_broker", str(caught.exception))
        self.assertNotIn("invalid", str(caught.exception))
