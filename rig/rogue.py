"""Servers on loopback that do what real ones do not: show any certificate, ask for any login, say anything.

Each notes what it was told, in clear and under TLS, so that a test can say what did not leave.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .relay import end_sockets

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
SALT = b"12345678abcdefghijkl"


def server_context(
    certificate: Path, key: Path, *, client_ca: Path | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """A server's, which takes any certificate.

    :param client_ca: client certificates of this authority are required.
    :param version: the only one that is spoken.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the versions nobody should speak
        context.minimum_version = version or ssl.TLSVersion.TLSv1_2
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


class Talk:
    """The conversation with one client, by what is sent and read."""

    def __init__(self, connected: socket.socket, rogue: Rogue) -> None:
        self._socket: socket.socket = connected
        self._rogue = rogue
        self.sequence = 0

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Do the server's part of a handshake."""
        self._socket = context.wrap_socket(self._socket, server_side=True)

    def receive(self, most: int = 65536) -> bytes:
        """What came; raises ``ConnectionError`` when the client has gone."""
        data = self._socket.recv(most)
        noted = self._rogue.under_tls if isinstance(self._socket, ssl.SSLSocket) else self._rogue.in_clear
        noted += data
        if not data:
            raise ConnectionResetError
        return data

    def send(self, data: bytes) -> None:
        """Send these bytes, encrypted where ``encrypt`` came before."""
        self._socket.sendall(data)

    # MySQL's packets.

    def read_packet(self) -> bytes:
        """Read one packet; returns what is behind its head of four bytes."""
        head = self._exactly(4)
        self.sequence = head[3] + 1
        return self._exactly(int.from_bytes(head[:3], "little"))

    def send_packet(self, payload: bytes) -> None:
        """Send one packet, with the sequence number that is due."""
        self.send(framed(payload, self.sequence))
        self.sequence += 1

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.receive(count - len(data))
        return data

    def log_in(self, context: ssl.SSLContext | None = None, **greeting_options: Any) -> bytes:
        """Greet, speak TLS where the client asks for it, and return the client's login."""
        self.send_packet(greeting(has_tls=context is not None, **greeting_options))
        packet = self.read_packet()
        if len(packet) == 32 and context is not None:
            self.encrypt(context)
            packet = self.read_packet()
        return packet

    def say_ok_to_all(self) -> None:
        """Accept the login, and then each command."""
        while True:
            self.send_packet(OK)
            self.read_packet()


def framed(payload: bytes, sequence: int) -> bytes:
    """A packet of MySQL's."""
    return len(payload).to_bytes(3, "little") + bytes([sequence % 256]) + payload


def greeting(
    *, has_tls: bool = False, default_plugin: bytes = b"mysql_native_password", version: bytes = b"8.4.0"
) -> bytes:
    """MySQL's first packet (Protocol::HandshakeV10)."""
    capabilities = 0x000FA20F | 0x00200000 | (0x0800 if has_tls else 0)
    head = b"\x0a" + version + b"\0" + struct.pack("<I", 1) + SALT[:8] + b"\0"
    return (
        head
        + struct.pack("<HBHH", capabilities & 0xFFFF, 45, 2, capabilities >> 16)
        + bytes([21])
        + bytes(10)
        + SALT[8:]
        + b"\0"
        + default_plugin
        + b"\0"
    )


def switch_to(plugin: bytes, data: bytes = SALT + b"\0") -> bytes:
    """The packet that asks for a login in another way (Protocol::AuthSwitchRequest)."""
    return b"\xfe" + plugin + b"\0" + data


def error(number: int, words: bytes) -> bytes:
    """MySQL's ERR packet."""
    return b"\xff" + struct.pack("<H", number) + b"#HY000" + words


class Rogue:
    """Talks to each client as it was told, in a thread of its own, until it is closed."""

    host = "127.0.0.1"

    def __init__(self, talk: Callable[[Talk], None], host: str = "127.0.0.1") -> None:
        self._talk = talk
        self.in_clear = bytearray()
        """All that came without TLS, save the handshakes of TLS themselves."""
        self.under_tls = bytearray()
        self.clients = 0
        """How many have connected."""
        self.gone = 0
        """How many of them have ended the connection, or were told to go."""
        self._listener = socket.create_server((host, 0))
        self._connected: list[socket.socket] = []
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Rogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and close every connection."""
        end_sockets(self._listener, *self._connected)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.clients += 1
                self._connected.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        talk = Talk(client, self)
        try:
            self._talk(talk)
        except (OSError, ValueError):  # the client has gone, or does not go on; ssl's errors are OSErrors
            pass
        finally:
            with contextlib.suppress(OSError):
                talk._socket.shutdown(socket.SHUT_RDWR)
            talk._socket.close()
            client.close()
            self.gone += 1


def broker(context: ssl.SSLContext | None) -> Rogue:
    """A broker that accepts every CONNECT of MQTT 5.

    :param context: None: it speaks no TLS.
    """

    def talk(client: Talk) -> None:
        if context is not None:
            client.encrypt(context)
        while True:
            if client.receive().startswith(b"\x10"):
                client.send(CONNACK_5)

    return Rogue(talk)


def database(context: ssl.SSLContext | None, **greeting_options: Any) -> Rogue:
    """A database that accepts every login and every command.

    :param context: None: it says that it has no TLS.
    """

    def talk(client: Talk) -> None:
        client.log_in(context, **greeting_options)
        client.say_ok_to_all()

    return Rogue(talk)
