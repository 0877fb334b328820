"""What an error means: for what a server said, for what only a client says, and for what a table's owner says."""

from __future__ import annotations

from pymysql.err import Error, IntegrityError, InterfaceError, InternalError, OperationalError, ProgrammingError
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.table.contract import (
    StoreConflict,
    StoreError,
    StoreLoginRefused,
    StoreMisconfigured,
    StoreOvertaken,
    StoreRefused,
    StoreUnavailable,
)
from aiot_mqtt.table.errors import Busy, ReadOnly, error_number, error_words, meaning

LOST = (
    OperationalError(2006, "MySQL server has gone away (BrokenPipeError())"),
    OperationalError(2013, "Lost connection to MySQL server during query"),
    OperationalError(2003, "Can't connect to MySQL server on 'x'"),
    InterfaceError(0, ""),
    InternalError("Packet sequence number wrong - got 1 expected 2"),
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError("timed out"),
)


def said(number: int, state: str, words: str = "words") -> Error:
    """An error packet."""
    return OperationalError(number, words, sqlstate=state)


class MeaningTests(SynchronousTestCase):
    def assert_means(
        self, kind: type[StoreError], error: Exception, harmless: Exception | None = None, words: str | None = None
    ) -> StoreError:
        """On a connection that answers, where a statement that assigns nothing meets ``harmless``."""
        meant = meaning(error, lambda: harmless)
        self.assertIs(type(meant), kind, error)
        if words is not None:
            self.assertEqual(str(meant), words)
        return meant

    def test_a_lost_connection_is_an_outage(self) -> None:
        for error in LOST:
            self.assert_means(StoreUnavailable, error)
            self.assertIs(type(meaning(error, None)), StoreUnavailable)

    def test_what_only_a_client_says_about_a_login(self) -> None:
        for number in (2049, 2059, 2061):
            self.assertIs(type(meaning(OperationalError(number, "no"), None)), StoreLoginRefused)

    def test_a_deadlock_that_a_commit_met_is_one(self) -> None:
        words = "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT"
        self.assertIs(type(meaning(said(1180, "HY000", words), None)), StoreOvertaken)
        other = "Got error 28 - 'No space left on device' during COMMIT"
        self.assertIs(type(meaning(said(1180, "HY000", other), None)), StoreUnavailable)

    def test_known_numbers_need_no_trial(self) -> None:
        def never() -> Exception | None:
            raise AssertionError

        for kind, numbers in (
            (StoreConflict, (1205, 1020, 1317)),
            (StoreOvertaken, (1213, 3101)),
            (StoreRefused, (1406, 1366, 4025, 3819, 3140, 1644, 1411, 3156)),
            (StoreLoginRefused, (1044, 1045, 1049)),
            (ReadOnly, (1290, 1792, 1836, 3032, 1047)),
            (Busy, (1040, 1203, 1226)),
            (StoreUnavailable, (1053, 1152, 1927, 1021, 1030, 1114, 1180, 3, 28)),
        ):
            for number in numbers:
                self.assertIs(type(meaning(said(number, "HY000"), never)), kind, number)

    def test_where_another_row_is_written_they_are_about_this_one(self) -> None:
        for kind, numbers in (
            (StoreRefused, (1290, 1792, 1836, 1040, 1226, 1045, 1053)),
            (StoreConflict, (1114, 1021, 1030, 1041, 3, 28, 120, 167)),  # which loses nothing
            (StoreUnavailable, (1180, 3100, 1969, 3024)),  # of the last two less may go through
        ):
            for number in numbers:
                error = said(number, "HY000")
                self.assertIs(type(meaning(error, lambda: None, lambda: True)), kind, number)
                self.assertIsInstance(meaning(error, None, lambda: True), StoreUnavailable | StoreLoginRefused, number)

    def test_what_lacks_room_or_time_for_one_row_is_kept_whatever_others_take(self) -> None:
        for number in (1114, 1021, 1030, 1041, 1969, 3024, 3, 28, 120, 167):
            for taken in (lambda: True, lambda: False):
                meant = meaning(said(number, "HY000"), lambda: None, taken, is_single=True)
                self.assertIs(type(meant), StoreConflict, number)

    def test_any_other_no_is_refused_where_the_harmless_passes(self) -> None:
        for number in (1001, 1105, 1142, 1146, 1175, 1242, 1305, 2999, 3699, 4999, 31000, 65535):
            refused = self.assert_means(StoreRefused, said(number, "HY000"), words=f"words ({number})")
            assert isinstance(refused, StoreRefused)
            self.assertFalse(refused.is_certain)

    def test_where_the_harmless_fails_too_its_own_error_decides(self) -> None:
        for harmless, kind in (
            (said(1142, "42000", "denied"), StoreMisconfigured),
            (said(1054, "42S22", "denied"), StoreMisconfigured),
            (said(1290, "HY000", "denied"), ReadOnly),
            (said(1205, "HY000", "denied"), StoreConflict),
        ):
            self.assert_means(kind, said(31000, "HY000"), harmless, f"denied ({error_number(harmless)})")
        for unknown in (1105, 1348, 1906, 3105, 31000):
            self.assert_means(
                StoreMisconfigured, said(31000, "HY000"), said(unknown, "HY000", "never"), f"never ({unknown})"
            )

    def test_a_proxy_that_reaches_no_server_is_an_outage(self) -> None:
        for unknown in (said(9001, "HY000"), said(2003, "HY000"), said(2013, "08S01"), *LOST):
            self.assert_means(StoreUnavailable, said(9001, "HY000"), unknown)
        self.assert_means(StoreRefused, said(2013, "HY000"))  # it has another one now

    def test_the_number_of_an_owners_signal_says_nothing(self) -> None:
        for state in ("45000", "45999", "50000", "99123", "ZZ001", "IA000"):
            for number in (3, 1040, 1045, 1053, 1142, 1153, 1205, 1213, 1290, 2013):
                self.assert_means(StoreRefused, said(number, state), words=f"words ({number})")

    def test_without_a_connection_rights_and_schema_are_told_by_number_and_a_login_by_its_sqlstate(self) -> None:
        for error, kind in (
            (said(1142, "42000"), StoreMisconfigured),
            (said(1231, "42000"), StoreMisconfigured),
            (said(4151, "HY000"), StoreLoginRefused),
            (said(9999, "28000"), StoreLoginRefused),
            (said(1040, "08004"), Busy),
            (OperationalError(1040, "Too many connections"), Busy),
            (OperationalError(1129, "Host is blocked"), StoreUnavailable),
            (said(9999, "HY000"), StoreUnavailable),
        ):
            self.assertIs(type(meaning(error, None)), kind, error)

    def test_too_large_a_packet_is_the_statements_fault(self) -> None:
        refused = meaning(said(1153, "08S01"), None)
        assert isinstance(refused, StoreRefused)
        self.assertFalse(refused.is_certain)

    def test_pymysqls_classes_decide_nothing(self) -> None:
        for made in (IntegrityError, ProgrammingError, InternalError):
            self.assert_means(StoreRefused, made(31000, "words", sqlstate="HY000"))
            self.assert_means(StoreConflict, made(1205, "words", sqlstate="HY000"))

    def test_numbers_and_words(self) -> None:
        self.assertEqual(error_number(said(-536, "45000")), 65000)  # PyMySQL reads 16 bits with a sign
        self.assertEqual(error_words(said(-536, "45000")), "words (65000)")
        self.assertEqual(error_words(InterfaceError()), "InterfaceError()")
        self.assertEqual(error_number(ValueError("x")), 0)
