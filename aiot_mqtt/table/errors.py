"""What the server's errors mean for a write: by number, because PyMySQL's classes do not tell."""

from __future__ import annotations

import pymysql

from .contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
)

# 1205, 1292, 3140 and 2013 are all OperationalError to PyMySQL.
_CONFLICT = frozenset({1205, 1213})  # lock wait timeout, deadlock
_REFUSED = frozenset(
    {
        *(3140, 3141, 3144, 3157),  # JSON: invalid text, charset, depth
        *(4025, 3819),  # CHECK constraint of MariaDB, of MySQL; MariaDB's JSON columns have one
        *(1048, 1062, 1216, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1644, 3854, 3988),  # values, keys, SIGNAL
        1977,  # a character that the charset of a column lacks, as MariaDB says it
    }
)
_LOGIN_REFUSED = frozenset({1044, 1045, 1049, 1251, 1275, 1698, 1862, 2049, 2059, 2061})
_MISCONFIGURED = frozenset(
    {
        *(1054, 1064, 1109, 1142, 1143, 1146, 1227, 1267, 1271, 1305, 1347, 1356, 1370),  # rights or schema
        *(1665, 1193, 1231),  # binlog_format=STATEMENT; unknown or unsuitable variable
    }
)
# The connection lives, but leads to a server that cannot write now: after a failover another one will.
_READ_ONLY = frozenset({1290, 1792, 1836})
_MEANINGS = (
    (_CONFLICT, StoreConflict),
    (_REFUSED, StoreRefused),
    (_LOGIN_REFUSED, StoreLoginRefused),
    (_MISCONFIGURED, StoreMisconfigured),
    (_READ_ONLY, StoreUnavailable),
)


def classify(error: Exception) -> type[StoreError]:
    """What an error of PyMySQL means for a write.

    A number that is not known is taken for an outage: then the write is repeated and nothing is lost, and the log
    says why.
    """
    number = error_number(error)
    for numbers, meaning in _MEANINGS:
        if number in numbers:
            return meaning
    if isinstance(error, pymysql.err.DataError | pymysql.err.IntegrityError):
        return StoreRefused
    if isinstance(error, pymysql.err.ProgrammingError | pymysql.err.NotSupportedError):
        return StoreMisconfigured
    return StoreUnavailable


def error_number(error: Exception) -> int:
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def error_words(error: Exception) -> str:
    number = error_number(error)
    return f"{error.args[1]} ({number})" if number and len(error.args) > 1 else str(error) or repr(error)
