"""The database: reached and logged in at as the service does, over one connection that writes nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pymysql

from ..settings.settings import Settings
from ..table.address import DatabaseAddress, database_addresses, hosts_without_tls
from ..table.connection import DatabaseConnection
from ..table.contract import StoreError, StoreLoginRefused
from ..table.errors import error_number, error_words, known_meaning
from ..table.session import is_taken
from ..telemetry.bilingual import Bilingual
from ..tls.refusal import TlsRefused
from .certificates import probe_certificates
from .findings import Findings
from .texts import database as texts
from .words import causes, with_advice

TIMEOUT = 5.0  # s for everything from the name look-up to the login, and for each answer
STATEMENT_TIMEOUT = 4  # s after which the server itself gives a statement up
SHOW_GRANTS = "SHOW GRANTS FOR CURRENT_USER()"
LOCK_TIMEOUT = 2  # s for a table that somebody has locked
_READ_ONLY = ("super_read_only", "read_only", "innodb_read_only")
_OVER_ALL = re.compile(r"GRANT (?!USAGE ).+ ON \*\.\* ", re.IGNORECASE)
_SEEN_FROM = re.compile(r"'@'([^']*)'")  # a user's name may hold quotes
_TO_ANSWER = (1044, 1045, 1049, 1698)


class Database:
    """One connection, and what it is asked. Blocks."""

    def __init__(self, connection: DatabaseConnection) -> None:
        self._connection: Any = connection
        self.account = ""
        """Which of the server's accounts we are, as ``user@host``."""
        self.grants: list[str] | None = None
        """Its rights, as SHOW GRANTS has them; None: the server, or a proxy, does not tell."""

    def rows(self, sql: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What a SELECT or SHOW gives.

        :raises pymysql.err.Error: the server does not answer it.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(arguments) or None)
            return list(cursor.fetchall())

    def variable(self, name: str) -> Any:
        """A variable of the server's; None: it has none of that name, or does not say."""
        try:
            return self.rows(f"SELECT @@{name}")[0][0]
        except (pymysql.err.Error, StoreError):
            return None

    def read_only_by(self) -> str | None:
        """The variable that says that nobody writes here, or not everybody; None: none does."""
        return next((name for name in _READ_ONLY if is_on(self.variable(name))), None)

    def error_of(self, sql: str) -> Exception | None:
        """What the server has against a statement that changes nothing, if anything.

        :raises pymysql.err.Error: the connection is lost.
        """
        try:
            self.rows(sql)
        except (pymysql.err.Error, StoreError) as error:
            if not self._connection.open:
                raise
            return error
        return None

    def cursor(self) -> Any:
        """One of PyMySQL's."""
        return self._connection.cursor()

    @property
    def is_lost(self) -> bool:
        """Whether nothing more can be asked."""
        return not self._connection.open

    def bound_statements(self) -> None:
        """Have the server itself end what takes too long; a server has one of these, or neither."""
        with self._connection.cursor() as cursor:
            is_taken(cursor, f"SET SESSION lock_wait_timeout={LOCK_TIMEOUT}")
            is_taken(cursor, f"SET SESSION max_statement_time={STATEMENT_TIMEOUT}")
            is_taken(cursor, f"SET SESSION max_execution_time={STATEMENT_TIMEOUT * 1000}")

    def read_only(self) -> None:
        """From now on nothing can be written over this connection, whatever is asked."""
        with self._connection.cursor() as cursor:
            is_taken(cursor, "SET SESSION TRANSACTION READ ONLY")
            cursor.execute("START TRANSACTION READ ONLY")

    def rest(self) -> None:
        """End the transaction: one that is left open would hold up an ALTER TABLE."""
        self._connection.rollback()

    def close(self) -> None:
        """Leave."""
        if self._connection.open:
            self._connection.close()


def open_database(settings: Settings, findings: Findings) -> Database | None:
    """Log in, and tell how far it came; None: not to the end.

    Of several addresses that which the service would use: the first that may be written to.
    """
    addresses = database_addresses(settings)
    if len(addresses) == 1:
        return _open(settings, addresses[0], findings)
    passed: list[tuple[DatabaseAddress, Database | None, Findings]] = []
    chosen: tuple[Database | None, Findings] | None = None
    for address in addresses:
        found = Findings()
        database = _open(settings, address, found)
        name = None if database is None else database.read_only_by()
        if database is not None and name is None:
            chosen = database, found
            break
        passed.append((address, database, found))
        reason = found.first_error if database is None else texts.READ_ONLY.filled({"variable": name})[0]
        findings.warning("database.reach", texts.PASSED_OVER, host=address.host, port=address.port, reason=reason)
    if chosen is None:  # what is wrong is told of one that answers
        chosen = next((each[1:] for each in passed if each[1] is not None), passed[0][1:])
    database, found = chosen
    for _, other, _ in passed:
        if other is not None and other is not database:
            other.close()
    findings.take(found)
    return database


def _open(settings: Settings, address: DatabaseAddress, findings: Findings) -> Database | None:
    where = {"host": address.host, "port": address.port}
    connection = DatabaseConnection(
        tls=address.tls,
        public_key=address.public_key,
        host=address.host,
        port=address.port,
        user=address.user,
        password=settings.db_password.reveal().encode(),
        database=address.database,
        charset="utf8mb4",
        connect_timeout=TIMEOUT,
        read_timeout=TIMEOUT,
        write_timeout=TIMEOUT,
    )
    try:
        with connection.opening(TIMEOUT):
            connection.connect()
    except (pymysql.err.Error, StoreError) as error:
        _tell_failure(settings, address, error, findings)
        return None
    findings.ok("database.reach", texts.REACHED, **where)
    _tell_tls(settings, findings)
    if settings.db_tls:
        names = (texts.DATABASES, texts.OURS)
        pin, own = settings.db_tls_fingerprint, settings.db_cert_file
        probe_certificates("database.certificate", connection.certificate, names, findings, pin=pin, own_file=own)
    database = Database(connection)
    try:
        database.bound_statements()
        ((database.account, version),) = database.rows("SELECT CURRENT_USER(), VERSION()")
        if database.error_of(SHOW_GRANTS) is None:
            database.grants = [str(row[0]) for row in database.rows(SHOW_GRANTS)]
    except (pymysql.err.Error, StoreError) as error:
        _tell_failure(settings, address, error, findings)
        database.close()
        return None
    findings.ok("database.login", texts.LOGIN, account=database.account, version=version, **where)
    is_over_all = any(_OVER_ALL.match(grant) for grant in database.grants or ())
    tell = findings.warning if is_over_all else findings.ok
    tell("database.user", texts.USER_IS_ROOT if is_over_all else texts.USER, account=database.account)
    return database


def is_on(value: Any) -> bool:
    """Whether a variable of the server's, which may be a number or a word, is on."""
    return str(value).upper() in ("1", "ON", "TRUE")


def try_probe(database: Database, probe: str, findings: Findings, look: Callable[[], None]) -> None:
    """Have something looked at that the server need not tell.

    :raises pymysql.err.Error: the connection is lost.
    """
    try:
        look()
    except (pymysql.err.Error, StoreError) as error:
        if database.is_lost:
            raise
        findings.unknown(probe, texts.NOT_TOLD, words=error_words(error))


def tell_lost(error: Exception, findings: Findings) -> None:
    """Tell that the connection was lost while something was looked at."""
    findings.error("database.reach", texts.LOST, words=error_words(error))


def _tell_tls(settings: Settings, findings: Findings) -> None:
    if hosts := hosts_without_tls(settings):
        findings.warning("database.tls", texts.IN_CLEAR, host=hosts)
    else:
        findings.ok("database.tls", texts.TLS if settings.db_tls else texts.NO_TLS)


def _tell_failure(settings: Settings, address: DatabaseAddress, error: Exception, findings: Findings) -> None:
    """Tell why there is no login, where the cause is."""
    where = {"host": address.host, "port": address.port}
    chain, number, words = list(causes(error)), error_number(error), error_words(error)
    refused = next((cause for cause in chain if isinstance(cause, TlsRefused)), None)
    if refused is not None:
        findings.ok("database.reach", texts.REACHED, **where)
        reason, advice = with_advice(str(refused))
        findings.error("database.tls", texts.TLS_REFUSED, reason=reason, advice=advice)
    elif isinstance(error, StoreLoginRefused) or number in _TO_ANSWER or known_meaning(error) is not None:
        findings.ok("database.reach", texts.REACHED, **where)
        if not isinstance(error, StoreError):
            _tell_tls(settings, findings)
        elif not settings.db_tls:
            findings.ok("database.tls", texts.NO_TLS)
        _tell_refusal(settings, error, findings)
    elif any(isinstance(cause, socket.gaierror | UnicodeError) for cause in chain):
        findings.error("database.reach", texts.NO_HOST, **where)
    elif any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        findings.error("database.reach", texts.REFUSED, **where)
    elif any(isinstance(cause, TimeoutError) for cause in chain):
        findings.error("database.reach", texts.NO_ANSWER, seconds=TIMEOUT, **where)
    else:
        findings.error("database.reach", texts.UNREACHABLE, reason=words, **where)


def _tell_refusal(settings: Settings, error: Exception, findings: Findings) -> None:
    number, words = error_number(error), error_words(error)
    named = _SEEN_FROM.search(words)
    address = named[1] if named else "%"
    values = {"code": number, "user": settings.db_user, "address": address, "seen_from": address, "words": words}
    if number == 1698:
        findings.error("database.login", texts.ROOT_DENIED, **values)
    elif number == 1045:
        findings.error("database.login", texts.ACCESS_DENIED, **values)
    elif number == 1130:
        findings.error("database.login", texts.HOST_DENIED, **values)
    elif number in (1044, 1049):
        findings.error("database.login", texts.NO_DATABASE, database=settings.db_name, **values)
    elif number in (1040, 1203, 1226):
        findings.error("database.login", texts.BUSY, **values)
    else:
        sentence = error.args[0] if error.args and isinstance(error.args[0], Bilingual) else words
        reason, advice = with_advice(sentence)
        if reason != sentence:  # it has advice in it
            findings.error("database.login", texts.LOGIN_NOT_TRIED, reason=reason, advice=advice, **values)
            return
        findings.error("database.login", texts.LOGIN_REFUSED, **{**values, "words": sentence})
