"""What PyMySQL takes for its socket: one with a deadline over many reads, and with TLS as the rest of us does it."""

from __future__ import annotations

import contextlib
import io
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from cryptography import x509
from OpenSSL import SSL

from ..telemetry.reasons import database as reasons
from ..tls.client import TlsClient, TlsSession
from ..tls.loopback import is_loopback

T = TypeVar("T")

PIECE = 65536  # bytes read or encrypted at a time
SILENT = 2.0  # s


class Deadline:
    """When something that takes many reads and writes must be done; a peer that drips meets each read's own timeout."""

    def __init__(self) -> None:
        self.is_set = False
        self._at = 0.0
        self._seconds = 0.0

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is done meanwhile must be done within so many seconds; otherwise its reads and writes time out."""
        self._at, self._seconds, self.is_set = time.monotonic() + seconds, seconds, True
        try:
            yield
        finally:
            self.is_set = False

    def left(self, timeout: float | None) -> float | None:
        """Seconds that one read or write may take.

        :param timeout: what it may take anyway; None: for ever.
        :raises TimeoutError: none are left.
        """
        if not self.is_set:
            return timeout
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError(reasons.NOT_DONE_IN_TIME.fill(seconds=f"{self._seconds:g}"))
        return left if timeout is None else min(left, timeout)


def dial(host: str, port: int, timeout: float | None, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first of the host's addresses that takes one.

    :param timeout: seconds for each address.
    :raises OSError: none does.
    """
    error: OSError = OSError(reasons.NAME_HAS_NO_ADDRESS)
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(deadline.left(timeout))
            connected.connect(address)
        except OSError as failed:
            connected.close()
            error = failed
        else:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return connected
    raise error


class Link:
    """One connection to the database. Blocks; only ``shutdown`` may be called from another thread."""

    def __init__(
        self,
        connected: socket.socket,
        deadline: Deadline,
        tls: TlsClient | None = None,
        when_silent: Callable[[], None] | None = None,
    ) -> None:
        """
        :param tls: None: without.
        :param when_silent: called where an answer takes longer than ``SILENT``; raises ``TimeoutError`` where it is not
            worth waiting for.
        """
        self._when_silent = when_silent
        self._socket = connected
        self._deadline = deadline
        self._tls = tls
        self._session: TlsSession | None = None
        self._timeout: float | None = None
        self.is_encrypted = False
        """Whether the peer was checked, and what is sent from now on is for it alone."""

    @property
    def is_loopback(self) -> bool:
        """Whether the peer is on this host."""
        return is_loopback(str(self._socket.getpeername()[0]))

    @property
    def certificate(self) -> x509.Certificate | None:
        """What the peer has shown; None: without TLS."""
        shown = None if self._session is None else self._session.connection.get_peer_certificate()
        return None if shown is None else shown.to_cryptography()

    # What PyMySQL asks of a socket, and, as there is but one, of an SSLContext.

    def wrap_socket(self, _link: object, server_hostname: str) -> Link:
        """Do the handshake of TLS, and check the peer.

        :raises TlsRefused: nothing may be sent.
        """
        assert self._tls is not None
        assert self._tls.peer.host == server_hostname
        session = self._session = self._tls.session()
        while True:
            try:
                session.connection.do_handshake()
            except SSL.WantReadError:
                self._flush(session)
                if not self._fill(session):
                    raise session.refused(None) from None
            except Exception as error:
                with contextlib.suppress(OSError):
                    self._flush(session)  # the alert that says why
                raise session.refused(error) from None
            else:
                break
        self._flush(session)
        session.check()
        self.is_encrypted = True
        return self

    def settimeout(self, seconds: float | None) -> None:
        """Bound each read and write from now on. :param seconds: None: they may take as long as they like."""
        self._timeout = seconds

    def makefile(self, _mode: str) -> io.BufferedReader:
        """A stream of what comes; closing it does not close this."""
        return io.BufferedReader(_Stream(self))

    def sendall(self, data: bytes) -> None:
        """Send all of it.

        :raises OSError: the peer takes no more, or not in time. :raises TlsRefused: it ended TLS, and said why.
        """
        session = self._session
        if session is None:
            self._send(data)
            return
        unsent = memoryview(data)
        while unsent:
            try:
                unsent = unsent[session.connection.send(unsent[:PIECE]) :]
            except SSL.Error as error:
                raise session.refused(error) from None
            try:
                self._flush(session)
            except OSError:
                self._hear_why(session)
                raise

    def recv_into(self, buffer: memoryview) -> int:
        """Read what there is, and return how many bytes that is; 0: the peer has closed.

        :raises OSError: nothing came in time. :raises TlsRefused: the peer ended TLS, and said why.
        """
        session = self._session
        if session is None:
            return self._hear(lambda: self._socket.recv_into(buffer))
        while True:
            try:
                return session.connection.recv_into(buffer)
            except SSL.WantReadError:
                self._flush(session)
                if not self._fill(session):
                    return 0
            except SSL.ZeroReturnError:
                return 0
            except SSL.Error as error:
                raise session.refused(error) from None

    def is_quiet(self) -> bool:
        """Whether nothing has come: from a peer that was asked nothing, that is the end of the connection."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def shutdown(self, how: int) -> None:
        """End it at once for a thread that waits in a read or write."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket, without ending TLS in order."""
        self._socket.close()

    # Bytes as they are on the wire.

    def _hear(self, receive: Callable[[], T]) -> T:
        """Receive something, with a question in between where nothing comes for long.

        :raises TimeoutError: nothing came in time.
        """
        when_silent, timeout = self._when_silent, self._timeout
        if when_silent is None or self._deadline.is_set or timeout is None or timeout <= SILENT:
            try:
                self._be_patient()
                return receive()
            except TimeoutError as error:
                self._give_up(error)
        until = time.monotonic() + timeout
        try:
            self._let_take(SILENT)
            return receive()
        except TimeoutError:
            when_silent()
        self._let_take(max(SILENT, until - time.monotonic()))
        return receive()

    def _be_patient(self) -> None:
        """Let the next call of the socket take what time is left."""
        self._let_take(self._deadline.left(self._timeout) if self._deadline.is_set else self._timeout)

    def _let_take(self, timeout: float | None) -> None:
        if timeout != self._socket.gettimeout():  # else spare the system call
            self._socket.settimeout(timeout)

    def _give_up(self, error: TimeoutError) -> NoReturn:
        """:raises TimeoutError: which says whose time is over."""
        self._deadline.left(None)
        raise error

    def _send(self, data: bytes) -> None:
        try:
            self._be_patient()
            self._socket.sendall(data)
        except TimeoutError as error:
            self._give_up(error)

    def _flush(self, session: TlsSession) -> None:
        """Send what OpenSSL has ready."""
        while True:
            try:
                data = session.connection.bio_read(PIECE)
            except SSL.WantReadError:
                return
            self._send(data)

    def _hear_why(self, session: TlsSession) -> None:
        """A peer that closes because of our certificate has said so before, and may have closed before we wrote.

        :raises TlsRefused: it has.
        """
        try:
            self._socket.settimeout(0)
            session.connection.bio_write(self._socket.recv(PIECE))
            session.connection.recv(1)
        except (OSError, SSL.WantReadError, SSL.ZeroReturnError):
            return
        except SSL.Error as error:
            raise session.refused(error) from None

    def _fill(self, session: TlsSession) -> bool:
        """Give OpenSSL what comes next; returns whether anything will come."""
        data = self._hear(lambda: self._socket.recv(PIECE))
        if data:
            session.connection.bio_write(data)
        return bool(data)


class _Stream(io.RawIOBase):
    """A link as what a ``BufferedReader`` reads from."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def readable(self) -> bool:
        """See ``io.RawIOBase``: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See ``io.RawIOBase``."""
        return self._link.recv_into(buffer)
