"""paho's engine without a network: the only place that knows paho's insides.

Twisted owns names, TCP, TLS and time; paho owns the handshake, subscriptions, the second half of QoS 2 and
disconnecting, through a substitute for its socket. PUBLISH and PUBACK, which are all of the load, do not pass through
paho: ``packets`` says why. Nor does keep-alive: paho's closes twice when it fails (its issue 870), and in 2.1 ignores
the broker's Server Keep Alive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .encoding import encode_packet
from .errors import MqttError, ProtocolViolation
from .options import ConnectOptions
from .packet_types import PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, UNSUBACK
from .properties import properties_at
from .reason_codes import FAILURE

# Where the properties of a packet stand in its part behind the length. In those about a PUBLISH they may be left out.
_PROPERTIES_AT = {PUBACK: 3, PUBREC: 3, PUBREL: 3, PUBCOMP: 3, SUBACK: 2, UNSUBACK: 2}
# bytes without properties. paho 2.1 takes time with the square of the length: 4 s for 64 KiB.
MAX_FOR_PAHO = 4 * 1024


class _SocketSubstitute:
    """What paho takes for its socket: reads from what is fed to it, writes elsewhere."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.unread = b""

    def recv(self, buffer_size: int) -> bytes:
        if not self.unread:
            raise BlockingIOError
        data, self.unread = self.unread[:buffer_size], self.unread[buffer_size:]
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        self._write(bytes(buffer))
        return len(buffer)

    def close(self) -> None:
        self.unread = b""

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        """See ``socket.socket``; what is written here never blocks."""


class PahoClient(paho.Client):
    """paho without a network of its own: what it says goes to ``write``, and it takes whole packets."""

    def __init__(self, options: ConnectOptions, write: Callable[[bytes], None]) -> None:
        """:param write: sends what it is given."""
        self.substitute = _SocketSubstitute(write)
        self._options = options
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            # Without a kept session the broker forgets what was not acknowledged as soon as the connection goes.
            clean_session=None if options.mqtt5 else not options.session_expiry,
            protocol=paho.MQTTv5 if options.mqtt5 else paho.MQTTv311,
            reconnect_on_failure=False,  # else a CONNACK could make paho dial, blocking, inside loop_read
            # With it paho would leave a PUBREL without PUBCOMP. It sees no PUBLISH, so there is no other difference.
            manual_ack=False,
        )
        # With nobody told, paho would write from inside the call that queues a packet, holding its locks.
        self.on_socket_register_write = lambda *_arguments: None
        if options.username or options.password:
            self.username_pw_set(options.username, options.password or None)
        if options.will is not None:
            self.will_set(options.will.topic, options.will.payload, qos=0, retain=True)

    def _create_socket(self) -> _SocketSubstitute:
        """The hook that ``connect`` calls for a socket; private to paho, the same in 2.0, 2.1 and 2.2."""
        return self.substitute

    def send_connect(self) -> None:
        """CONNECT, with what the options ask for."""
        options = self._options
        # The host only has to be some text: the transport is there already.
        if options.mqtt5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = options.session_expiry
            # Without an explicit one Mosquitto allows 20 unacknowledged messages.
            properties.ReceiveMaximum = options.receive_maximum
            clean_start = not options.session_expiry
            self.connect("broker", keepalive=options.keepalive, clean_start=clean_start, properties=properties)
        else:
            self.connect("broker", keepalive=options.keepalive)
        self.loop_write()

    def send_subscribe(self, topics: Sequence[str]) -> int:
        """SUBSCRIBE at QoS 1, without what devices retain where that can be asked for; returns its packet identifier.

        A subscription that the session has already at QoS 2 is lowered by it (section 3.8.4).

        :raises MqttError: paho would not.
        """
        if self._options.mqtt5:
            # What a broker says of itself it says by retained messages.
            all_retained = self._options.wants_retained
            handling = [(topic, 0 if all_retained or topic.startswith("$SYS/") else 2) for topic in topics]
            wanted = [(topic, SubscribeOptions(qos=1, retainHandling=retain)) for topic, retain in handling]
            result, packet_id = self.subscribe(wanted)
        else:
            result, packet_id = self.subscribe([(topic, 1) for topic in topics])
        if result != paho.MQTT_ERR_SUCCESS or packet_id is None:
            raise MqttError(paho.error_string(result))
        self.loop_write()
        return packet_id

    def send_unsubscribe(self, topics: Sequence[str]) -> None:
        """UNSUBSCRIBE from these topic filters."""
        self.unsubscribe(list(topics))
        self.loop_write()

    def send_disconnect(self) -> None:
        """DISCONNECT; the session stays."""
        self.disconnect()
        self.loop_write()

    def accepted(self, session_present: bool) -> None:
        """CONNACK accepted us. What it grants is not paho's affair."""
        head, properties = (b"\x20\x03", b"\0") if self._options.mqtt5 else (b"\x20\x02", b"")
        self._take(head + bytes((session_present, 0)) + properties)

    def take(self, first: int, body: bytes) -> bytes:
        """Have paho do what a packet asks for; returns its body without properties.

        :param first: its first byte.
        :param body: what comes behind its length.
        :raises ProtocolViolation: it is malformed, or none that a broker may send.
        """
        kind = first >> 4
        at = _PROPERTIES_AT.get(kind)
        if self._options.mqtt5 and at is not None and len(body) > at:
            _, end = properties_at(body, at)
            body = body[:at] + (b"\0" + body[end:] if kind in (SUBACK, UNSUBACK) else b"")
        if len(body) > MAX_FOR_PAHO:
            raise ProtocolViolation(f"a control packet of {len(body)} bytes without its properties")
        for_paho = body
        if kind == PUBREL:
            for_paho = body[:2]  # whatever its reason, what it wants is PUBCOMP
        elif kind == SUBACK:
            # Some brokers give reasons that SUBACK does not have, and paho would not know a failure in them but
            # the one of every version.
            codes_at = 3 if self._options.mqtt5 else 2
            for_paho = body[:codes_at] + bytes(min(code, FAILURE) for code in body[codes_at:])
        self._take(encode_packet(first, for_paho))
        return body

    def _take(self, packet: bytes) -> None:
        self.substitute.unread += packet
        try:
            result = self.loop_read()
        except Exception as error:  # paho 2.1 raises struct.error on a malformed packet
            # No more of it: some hold the whole packet, and some a number that is too long to be shown.
            raise ProtocolViolation(f"malformed packet ({type(error).__name__})") from error
        if result != paho.MQTT_ERR_SUCCESS:
            raise ProtocolViolation(paho.error_string(result))
        self.loop_write()
