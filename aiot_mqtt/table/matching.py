"""Who is who: which row is a device's, and which two names are one device, as the server compares them.

Collations hold far more texts equal than those that differ in case: accents, signs without width, blanks at the end,
letters of one language, pairs of letters. So nothing is compared here: the server is asked what it finds where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import pymysql

from ..devices.report import DEVICE_CHARACTERS
from ..devices.update import DeviceUpdate
from .contract import Written
from .statements import ALL_ROWS, UNION_ALL, TableShape, joined, joined_uuids, quote

MAX_ASKED = 1000  # literals in one statement
LITERAL = 128  # bytes of one, at most
SKIP_LOCKED = " FOR UPDATE SKIP LOCKED"


def same_characters(cursor: Any, character_as_sql: str) -> dict[str, str]:
    """See ``TableDescription.same_characters``.

    :param character_as_sql: with ``{}`` for a column of single characters: what compares as the ``uuid`` of a row does.
    """
    characters = UNION_ALL.join(f"SELECT '{character}' c" for character in DEVICE_CHARACTERS)
    one, other = (character_as_sql.format(f"{side}.c") for side in "ab")
    cursor.execute(
        f"SELECT a.c, b.c FROM ({characters}) a JOIN ({characters}) b ON {one} = {other}"  # noqa: S608
        f" WHERE HEX(a.c) <> HEX(b.c){ALL_ROWS}"
    )
    same: dict[str, set[str]] = {}
    for character, equal in cursor.fetchall():
        same.setdefault(character, {character}).add(equal)
    # A small letter stands for all, if there is one.
    return {
        character: chosen
        for character, equals in same.items()
        if (chosen := max(equals, key=lambda each: (each.islower(), -ord(each)))) != character
    }


def match_rows(
    cursor: Any,
    shape: TableShape,
    updates: Sequence[DeviceUpdate],
    max_bytes: int,
    heard_until: str | None = None,
) -> tuple[list[DeviceUpdate], Written]:
    """Ask which of the updates have which rows, and lock those until the transaction ends.

    Returns what is to be written, one update for each row, and what can be told of the others.

    :param max_bytes: as in ``update_statements``.
    :param heard_until: see ``Store.write``.
    """
    rows: dict[int, list[object]] = {}
    heard_later: set[int] = set()
    most = max(1, min(MAX_ASKED, max_bytes // LITERAL))
    for at in range(0, len(updates), most):
        cursor.execute(_question(shape, at, updates[at : at + most], heard_until))
        for number, uuid, is_later in cursor.fetchall():
            rows.setdefault(number, []).append(uuid)
            if is_later:
                heard_later.add(number)
    return sort_out(updates, rows, heard_later)


def sort_out(
    updates: Sequence[DeviceUpdate], rows: Mapping[int, Sequence[object]], heard_later: Set[int]
) -> tuple[list[DeviceUpdate], Written]:
    """What to write, one update for each row, and what can be told of the others.

    :param rows: for each of the updates that has any, by its place, what names its rows.
    :param heard_later: those, by their places, of which a row was heard later and is to keep what it holds.
    """
    same: dict[frozenset[object], list[int]] = {}
    for number, found in sorted(rows.items()):
        same.setdefault(frozenset(found), []).append(number)
    rest: list[DeviceUpdate] = []
    newer: set[str] = set()
    shared: set[str] = set()
    for numbers in same.values():
        group = [updates[number] for number in numbers]
        if len(group) > 1:
            shared.update(update.uuid for update in group)
        if max(numbers, key=lambda number: updates[number].seen_order) in heard_later:
            newer.update(update.uuid for update in group)
        else:
            rest.append(_merged(group))
    return rest, Written(
        unknown=frozenset(update.uuid for number, update in enumerate(updates) if number not in rows),
        newer=frozenset(newer),
        shared=frozenset(shared),
        doubled=frozenset(updates[number].uuid for number, found in rows.items() if len(found) > 1),
    )


def find_locked(connection: Any, shape: TableShape, uuids: Sequence[str], max_bytes: int) -> frozenset[str]:
    """See ``KnowsLocks``. What it locks itself meanwhile is free with the end of the transaction.

    :param max_bytes: as in ``update_statements``.
    """
    most = max(1, min(MAX_ASKED, max_bytes // LITERAL))
    locked: set[str] = set()
    for at in range(0, len(uuids), most):
        source = joined_uuids(shape, uuids[at : at + most], at)
        free, there = (
            _numbers(connection, f"SELECT v.n FROM {source}{ALL_ROWS}{lock}")  # noqa: S608
            for lock in (SKIP_LOCKED, "")
        )
        if free is None or there is None:
            return frozenset()
        locked.update(uuids[number] for number in there - free)  # of a uuid with several rows, where any is locked
    return frozenset(locked)


def _numbers(connection: Any, question: str) -> Counter[int] | None:
    """How often a question finds each; None: the server does not answer it, as those from before SKIP LOCKED."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(question)
            return Counter(int(number) for (number,) in cursor.fetchall())
        except pymysql.err.Error:
            if not connection.open:
                raise
            return None


def _question(shape: TableShape, first: int, updates: Sequence[DeviceUpdate], heard_until: str | None) -> str:
    names = "SELECT 0 n, '' uuid, '' seen FROM DUAL WHERE FALSE"
    form = "SELECT {},{},{}" if shape.values is None else f"{shape.values}({{}},{{}},{{}})"
    rows = [
        form.format(number, quote(update.uuid), quote(update.last_seen)) for number, update in enumerate(updates, first)
    ]
    is_later = "FALSE"
    if heard_until is not None:
        # Cast, because the column may be a text; what is no time in it is not later.
        until = f"CAST({quote(heard_until)} AS DATETIME(6))"
        last_seen = "CAST(d.last_seen AS DATETIME(6))"
        is_later = f"{last_seen} > CAST(v.seen AS DATETIME(6)) AND {last_seen} <= {until}"
    return f"SELECT v.n, d.uuid, {is_later} FROM {joined(shape, names, rows)}{ALL_ROWS} FOR UPDATE"  # noqa: S608


def _merged(group: Sequence[DeviceUpdate]) -> DeviceUpdate:
    if len(group) == 1:
        return group[0]
    merged = group[0].copy()
    for update in group[1:]:
        merged.merge(update)
    return merged
