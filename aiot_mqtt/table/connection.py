"""One connection of PyMySQL's to a peer that is not trusted: until it has shown who it is, and not much afterwards.

PyMySQL's insides that this leans on stand here and nowhere else: how it opens TLS, reads and writes packets, and picks
the way to log in. Each is held by a test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NoReturn

import pymysql
from cryptography import x509
from pymysql.constants import CLIENT, CR

from ..telemetry.bilingual import Bilingual, in_both
from ..telemetry.network import os_reason
from ..telemetry.printable import masked, printable
from ..telemetry.reasons import database as reasons
from ..tls import refusal
from ..tls.client import TlsClient
from ..tls.refusal import TlsRefused
from .contract import StoreError, StoreLoginRefused, StoreUnavailable
from .link import Deadline, Link, dial

OPENING_TIMEOUT = 20.0  # s for everything from the name look-up to the session's settings
MAX_BEFORE_LOGIN = 64 * 1024  # bytes of one answer; a greeting has a hundred, an RSA key under a thousand
MAX_AFTER_LOGIN = 4 * 1024 * 1024  # bytes of one answer; a thousand uuids are 50,000
MAX_WORDS = 280  # characters of the peer's own words; with an error number behind them, less than 300
SSL_REQUEST = 4 + 32  # bytes of the packet that asks for TLS; one with a user name is longer
MALFORMED_PACKET = 2027  # MySQL's CR_MALFORMED_PACKET
PACKET_TOO_LARGE = 2020  # CR_NET_PACKET_TOO_LARGE

# Those in which whoever answers gets no password: a hash with a challenge, a signature, or under a key that is checked.
_SAFE_WITHOUT_TLS = frozenset({"mysql_native_password", "caching_sha2_password", "sha256_password", "client_ed25519"})
_CLEAR = frozenset({"mysql_clear_password", "dialog"})  # dialog is PAM's

_CLEAR_REFUSED = Bilingual(
    "the database wants the password in clear ({plugin}), and the connection has no TLS: it was not sent. What to do:"
    " set DB_TLS, or give the user another plugin",
    "数据库要求明文密码（{plugin}），但连接没有TLS: 未发送密码。请启用 DB_TLS，或为该用户更换认证插件",
)
_KEY_REFUSED = Bilingual(
    "the database wants the password under an RSA key that it sends itself, without TLS and over a network: whoever is"
    " in between could send his own, so the password was not sent. What to do: set DB_TLS, or DB_PUBLIC_KEY_FILE to a"
    " copy of the server's public_key.pem",
    "数据库要求用它自己发来的RSA公钥加密密码，但连接没有TLS且经过网络: 中间人可以换成自己的公钥，因此未发送密码。"
    "请启用 DB_TLS，或把 DB_PUBLIC_KEY_FILE 设为服务器 public_key.pem 的副本",
)
_NO_NACL = Bilingual(
    "the database user logs in with ed25519, which needs PyNaCl. What to do: install it, as the extra"
    " aiot-mqtt[ed25519] does, and start anew",
    "数据库用户使用ed25519认证，需要PyNaCl。请安装（附加组件 aiot-mqtt[ed25519]）后重启",
)
_UNKNOWN_PLUGIN = Bilingual(
    "the database wants a login with {plugin}, which is not supported. What to do: give the user another plugin, such"
    " as caching_sha2_password, ed25519 or mysql_native_password",
    "数据库要求使用不支持的认证插件 {plugin}。请为该用户更换认证插件，"
    "例如 caching_sha2_password、ed25519 或 mysql_native_password",
)

# Its insides, which are used here, have no types.
_Connection: Any = pymysql.Connection


class DatabaseConnection(_Connection):  # type: ignore[misc]
    """A connection that sends a password only as the settings allow, and bounds what the peer may say and cost."""

    _read_timeout: float

    def __init__(
        self,
        *,
        tls: TlsClient | None = None,
        public_key: bytes | None = None,
        login_timeout: float | None = None,
        when_silent: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> None:
        """
        :param tls: None: without.
        :param public_key: see ``DatabaseAddress``.
        :param login_timeout: seconds in which each answer to a login must come; None: PyMySQL's ``read_timeout``.
        :param when_silent: see ``Link``.
        :param arguments: PyMySQL's.
        """
        self._tls = tls
        self._when_silent = when_silent
        self._login_timeout = login_timeout
        self._key_from_file = public_key
        self._key_from_peer: bytes | None = None
        self._link: Link | None = None
        self._deadline = Deadline()
        self._is_logged_in = False
        self._received = 0
        self.node = 0
        """Which of several servers it leads to, for who has several."""
        self.waits_by: tuple[str, ...] | None = None
        """See ``lag``; None: the server was not asked yet."""
        super().__init__(defer_connect=True, ssl_disabled=True, **arguments)
        if tls is not None:
            self.ssl = self._ssl_required = True
            self.client_flag |= CLIENT.SSL

    @contextlib.contextmanager
    def opening(self, timeout: float | None = None) -> Iterator[None]:
        """What is done meanwhile belongs to the opening: it must be done in time, and a strange answer is an outage.

        :param timeout: seconds; None: ``OPENING_TIMEOUT``.
        :raises StoreError: we do not go on with this peer, or it is not understood.
        """
        with self._deadline.within(OPENING_TIMEOUT if timeout is None else timeout), self._in_words():
            yield

    def connect(self) -> None:
        """Dial and log in.

        :raises StoreError: we do not go on with this peer, or it is not understood.
        :raises pymysql.err.Error: it refuses, or cannot be reached.
        """
        self._is_logged_in = False
        self._key_from_peer = None
        self._received = 0
        with self._in_words():
            try:
                link = dial(self.host, self.port, self.connect_timeout, self._deadline)
            except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
                reason = os_reason(error) if isinstance(error, OSError) else str(error)
                words = reasons.CANNOT_CONNECT.fill(host=f"{self.host!r}", reason=reason)
                raise pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, words) from None
            self.ctx = self._link = Link(link, self._deadline, self._tls, self._when_silent)
            read_timeout = self._read_timeout
            self._read_timeout = self._login_timeout or read_timeout
            try:
                super().connect(self._link)
            finally:
                self._read_timeout = read_timeout
        self._is_logged_in = True

    @property
    def read_timeout(self) -> float:
        """Seconds after which a silent server is given up."""
        return self._read_timeout

    def is_quiet(self) -> bool:
        """Whether an idle connection has not been closed from the other side, as far as that can be seen from here."""
        return self._link is not None and self._link.is_quiet()

    def rolls_back(self) -> bool:
        """Undo what is not committed; returns whether the server answers; else the connection is closed."""
        try:
            self.rollback()
        except Exception:
            self._force_close()
            return False
        return True

    @property
    def certificate(self) -> x509.Certificate | None:
        """What the peer has shown; None: without TLS."""
        return None if self._link is None else self._link.certificate

    # PyMySQL's.

    @property
    def server_public_key(self) -> bytes | None:
        """The RSA key for the password. PyMySQL looks at it before it asks for one, and sets it when one came."""
        if self._key_from_file is None:
            self._check_key_of_peer()
        return self._key_from_file or self._key_from_peer

    @server_public_key.setter
    def server_public_key(self, key: bytes | None) -> None:
        if key is not None and self._key_from_file is None:  # else ours counts, whatever comes
            self._check_key_of_peer()
            self._key_from_peer = key

    def _check_key_of_peer(self) -> None:
        if self._link is None or not (self._link.is_encrypted or self._link.is_loopback):
            raise StoreLoginRefused(_KEY_REFUSED)

    def _request_authentication(self) -> None:
        if self._tls is not None and not self.server_capabilities & CLIENT.SSL:
            raise refusal.none_offered(self._tls.peer)
        super()._request_authentication()

    def _process_auth(self, plugin_name: bytes, *others: Any) -> Any:
        self._check_plugin(printable(plugin_name.decode("utf-8", "backslashreplace"), 40))
        return super()._process_auth(plugin_name, *others)

    def _get_auth_plugin_handler(self, _plugin_name: object) -> None:
        """There are no others than PyMySQL's own."""

    def _check_plugin(self, plugin: str) -> None:
        """:raises StoreLoginRefused: the peer gets no password in this way."""
        is_encrypted = self._link is not None and self._link.is_encrypted
        if plugin in _CLEAR and not is_encrypted:
            raise StoreLoginRefused(_CLEAR_REFUSED.fill(plugin=plugin))
        if plugin not in _SAFE_WITHOUT_TLS | _CLEAR:
            raise StoreLoginRefused(_UNKNOWN_PLUGIN.fill(plugin=plugin))
        if plugin == "client_ed25519" and find_spec("nacl") is None:
            raise StoreLoginRefused(_NO_NACL)

    def _write_bytes(self, data: bytes) -> None:
        link, tls = self._link, self._tls
        if tls is not None and link is not None and not link.is_encrypted and len(data) > SSL_REQUEST:
            self._force_close()
            raise refusal.none_offered(tls.peer)
        self._received = 0
        super()._write_bytes(data)

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._received += num_bytes
        most = MAX_AFTER_LOGIN if self._is_logged_in else MAX_BEFORE_LOGIN
        if self._received > most:
            self._force_close()
            raise pymysql.err.OperationalError(PACKET_TOO_LARGE, reasons.ANSWER_TOO_LONG.fill(most=most))
        data: bytes = super()._read_bytes(num_bytes)
        return data

    # Each write passes through these a few times, so there is no context around them, which costs six calls.

    def _execute_command(self, command: int, sql: bytes | str) -> None:
        try:
            super()._execute_command(command, sql)
        except Exception as error:
            self._raise_in_words(error)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        try:
            return super()._read_query_result(unbuffered)
        except Exception as error:
            self._raise_in_words(error)

    def _read_ok_packet(self) -> Any:
        try:
            return super()._read_ok_packet()
        except Exception as error:
            self._raise_in_words(error)

    # Ours.

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Have whatever is raised carry words that are fit to be logged; what is not understood ends the connection."""
        try:
            yield
        except Exception as error:
            self._raise_in_words(error)

    def _raise_in_words(self, error: Exception) -> NoReturn:
        if isinstance(error, StoreError):
            raise error
        if isinstance(error, TlsRefused):
            self._force_close()
            raise StoreUnavailable(str(error)) from None
        number = error.args[0] if error.args else None
        if isinstance(error, pymysql.err.Error) and isinstance(number, int):
            error.args = (number, *(in_both(each, self._shown) for each in error.args[1:] if isinstance(each, str)))
            raise error
        self._force_close()
        words = " ".join(map(str, error.args)) or type(error).__name__
        words = in_both(reasons.NOT_UNDERSTOOD.fill(words=words), self._shown)
        raise pymysql.err.OperationalError(MALFORMED_PACKET, words) from None

    def _shown(self, words: str) -> str:
        """The peer's words, or those of the driver about them: one printable line without the password in it."""
        words = masked(words, self.password.decode("utf-8", "surrogateescape"))
        return printable(words, MAX_WORDS) or "without a word"
