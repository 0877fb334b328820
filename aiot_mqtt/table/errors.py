"""What an error means for the statement it answers: by what the server does next, by number only to be quicker.

An error packet of a server that goes on answering is a "no" to the statement, whatever its number: a trigger may SIGNAL
any, and no list knows what next year's server says. Whether it is a "no" to any statement (rights, schema) or to these
values, a trial tells that assigns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pymysql

from ..telemetry.bilingual import Bilingual, in_chinese
from ..telemetry.network import errno_reason, os_reason
from ..telemetry.reasons import database as reasons
from .contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreOvertaken,
    StoreRefused,
    StoreUnavailable,
)


class ReadOnly(StoreUnavailable):
    """The connection lives, but leads to a server that may not write: after a failover another one answers there."""

    has_others = True


class Behind(StoreUnavailable):
    """The connection lives, but leads to a node that lacks what its cluster has, and does not catch up in time."""


class Busy(StoreUnavailable):
    """The server has no connection left for us."""


# 1205, 1292, 3140 and 2013 are all OperationalError to PyMySQL: its classes do not tell.
_CONFLICT = frozenset(
    {
        *(1205, 3572),  # lock wait, NOWAIT
        *(1020, 1412, 1613, 1614, 1615, 1689),  # what was read has changed, or the transaction was rolled back
        1317,  # somebody ended this one statement
    }
)
_OVERTAKEN = frozenset({1213, 3101})  # a deadlock, or the certification of Galera; that of Group Replication
_REFUSED = frozenset(
    {
        *(3140, 3141, 3143, 3144, 3150, 3151, 3156, 3157, 3158),  # JSON: text, charset, size, key, cast, depth
        *(4025, 3819),  # CHECK constraint of MariaDB, of MySQL; MariaDB's JSON columns have one
        *(1048, 1062, 1216, 1264, 1265, 1292, 1365, 1366, 1367, 1406, 1411, 1451, 1452, 1690),  # values, keys
        *(3751, 3752, 3854, 3988),  # functional index, charset
        (_SIGNAL := 1644),  # of a trigger that gives no number
        1977,  # a character that the charset of a column lacks, as MariaDB says it
    }
)
_LOGIN_REFUSED = frozenset({1044, 1045, 1049, 1130, 1251, 1275, 1524, 1698, 1820, 1862, 2049, 2059, 2061, 3118, 4151})
# Rights or schema, where there is no connection to try it on. On one that lives they are tried.
_MISCONFIGURED = frozenset({1054, 1064, 1109, 1142, 1143, 1146, 1193, 1227, 1231, 1267, 1271, 1305, 1347, 1356, 1370})
_READ_ONLY = frozenset({1047, 1290, 1792, 1836, 3032})
_BUSY = frozenset({1040, 1203, 1226})
_SHORT = frozenset({1021, 1026, 1030, 1037, 1041, 1114, 1637, 3675})  # of disk or memory
_TOOK_TOO_LONG = frozenset({1969, 3024})  # longer than the server allows: less at once may not
_OF_A_COMMIT = frozenset({(_ERROR_DURING_COMMIT := 1180), 3100})  # which no row takes, though each takes an UPDATE
_UNAVAILABLE = frozenset(
    {
        *(1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3168, 3169, 4031),  # it ends, or ended this connection
        *_OF_A_COMMIT,
        *_SHORT,
        *_TOOK_TOO_LONG,
    }
)
# The storage engine's HA_ERR_LOCK_DEADLOCK in its words: what Group Replication gives where another primary was first.
_DEADLOCK_DURING_COMMIT = re.compile(r"\b149\b")
_TOO_LARGE = 1153  # for a packet; the server then closes
_MEANINGS: tuple[tuple[frozenset[int], type[StoreError]], ...] = (
    (_REFUSED, StoreRefused),
    (_CONFLICT, StoreConflict),
    (_OVERTAKEN, StoreOvertaken),
    (_LOGIN_REFUSED, StoreLoginRefused),
    (_READ_ONLY, ReadOnly),
    (_BUSY, Busy),
    (_UNAVAILABLE, StoreUnavailable),
)
# They may be about what the look at the table found out, which has to be found out anew: names of columns and indexes,
# what can be parsed, charsets and collations, safe updates.
ABOUT_THE_SHAPE = frozenset({1054, 1064, 1142, 1143, 1146, 1175, 1176, 1253, 1267, 1270, 1271, 1273, 1305})
_ERRNO = re.compile(r"\[Errno (\d+)\] (.*)", re.DOTALL)
_FILES = range(1, 1000)  # the numbers of mysys, which are about the server's own files: a full disk, for instance
_CLIENTS = range(2000, 3000)  # the numbers that a client gives itself, and that a proxy passes on
_PROXYS = range(9000, 10000)  # ProxySQL's own, which say that it reaches no server


def meaning(
    error: Exception,
    is_harmless_refused: Callable[[], Exception | None] | None,
    does_any_row_take: Callable[[], bool] = lambda: False,
    *,
    is_single: bool = False,
) -> StoreError:
    """What an error of PyMySQL, or of a socket, means for what was sent.

    :param is_harmless_refused: tries a statement with the same rights and columns that assigns nothing, and returns the
        error it met, if any; None: there is no connection that answers.
    :param does_any_row_take: whether some row can be written now. Then a number that usually says that the server
        cannot write is about this one: a trigger may give any, and may meet any with what it writes itself.
    :param is_single: whether one row was sent, so that no less can be.
    """
    words, number = error_words(error), error_number(error)
    if not _is_answer(error):
        return (StoreLoginRefused if number in _LOGIN_REFUSED else StoreUnavailable)(words)
    known = known_meaning(error)
    if known is not None:
        is_of_all = issubclass(known, StoreUnavailable | StoreLoginRefused) and number not in _OF_A_COMMIT
        if not is_of_all or is_harmless_refused is None:
            return known(words)
        # A disk that is nearly full takes one row and not another. So what meets that is kept, and passed over.
        is_kept = number in _SHORT | _TOOK_TOO_LONG or number in _FILES
        if is_kept and is_single:
            return StoreConflict(words)
        if number in _TOOK_TOO_LONG or not does_any_row_take():  # less at one time may go through
            return known(words)
        return StoreConflict(words) if is_kept else StoreRefused(words, is_certain=False)
    if number == _TOO_LARGE and not _is_owners_own(error):
        return StoreRefused(words, is_certain=False)
    if is_harmless_refused is None:
        return _without_a_connection(error, words)
    other = is_harmless_refused()
    if other is None:
        return StoreRefused(words, is_certain=False)
    known = known_meaning(other)
    if known is not None and known is not StoreRefused:
        return known(error_words(other))
    is_away = not _is_answer(other) or error_number(other) in _CLIENTS or error_number(other) in _PROXYS
    return (StoreUnavailable if is_away else StoreMisconfigured)(error_words(other))


def known_meaning(error: Exception) -> type[StoreError] | None:
    """What an error of the server's own means, whatever else is tried; None: its number does not say."""
    number = error_number(error)
    if not _is_answer(error) or (number != _SIGNAL and _is_owners_own(error)):
        return None
    if number == _ERROR_DURING_COMMIT and _DEADLOCK_DURING_COMMIT.search(error_words(error)):
        return StoreOvertaken
    for numbers, kind in _MEANINGS:
        if number in numbers:
            return kind
    return StoreUnavailable if number in _FILES else None


def _without_a_connection(error: Exception, words: str) -> StoreError:
    if _sqlstate(error)[:2] == "28":
        return StoreLoginRefused(words)
    return (StoreMisconfigured if error_number(error) in _MISCONFIGURED else StoreUnavailable)(words)


def _is_answer(error: Exception) -> bool:
    """Whether it is an error packet of the server, and not the client's word for a link that is lost."""
    number = error_number(error)
    return bool(_sqlstate(error)) or (isinstance(error, pymysql.err.Error) and number > 0 and number not in _CLIENTS)


def _is_owners_own(error: Exception) -> bool:
    """Whether a SIGNAL of the table's owner made it: its number then means what the owner likes.

    By its SQLSTATE: 45 is the class for that; the standard leaves those from 5 to 9 and from I to Z to whoever wants
    them, of which the servers themselves use 70 and XA.
    """
    group = _sqlstate(error)[:2]
    return group == "45" or (bool(group) and group not in ("70", "XA") and ("5" <= group < "A" or group >= "I"))


def _sqlstate(error: Exception) -> str:
    return (isinstance(error, pymysql.err.Error) and error.sqlstate) or ""


def error_number(error: Exception) -> int:
    """The server's number, or the client's; 0: it has none."""
    number = error.args[0] if error.args else 0
    if not isinstance(number, int):
        return 0
    return number & 0xFFFF if number < 0 else number  # PyMySQL reads it with a sign


def error_words(error: Exception) -> str:
    """The server's words with its number, or the client's."""
    number = error_number(error)
    if not (number and len(error.args) > 1):
        return os_reason(error) if isinstance(error, OSError) else str(error) or repr(error)
    words = error.args[1] if isinstance(error.args[1], str) else str(error.args[1])
    return reasons.NUMBERED.fill(words=client_words(number, words), number=number)


def client_words(number: int, words: str) -> str:
    """What PyMySQL says of a connection, with what the system says in it, in both languages; a server's as they are."""
    if isinstance(words, Bilingual) or number not in reasons.CLIENT_WORDS:
        return words
    before, _, inside = words.partition("(")
    inside = inside.removesuffix(")")
    if (found := _ERRNO.fullmatch(inside)) is not None:
        detail: str = errno_reason(int(found[1]), found[2])
    else:
        detail = Bilingual(inside, reasons.CLIENT_DETAILS.get(inside, inside))
    english = before.strip() if not inside else f"{before.strip()} ({detail})"
    chinese = reasons.CLIENT_WORDS[number]
    return Bilingual(english, f"{chinese}（{in_chinese(detail)}）" if inside else chinese)
