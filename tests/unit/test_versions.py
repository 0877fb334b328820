"""Which MQTT version is spoken, as the broker answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.mqtt.errors import ConnectionRefused, MqttError, Unanswered
from aiot_mqtt.mqtt.versions import FIRST_DOUBT, MAX_DOUBT, ProtocolChoice

REFUSED = ConnectionRefused(0x84, "")
UNANSWERED = Unanswered("")


class ProtocolChoiceTests(SynchronousTestCase):
    def guessed(self) -> ProtocolChoice:
        choice = ProtocolChoice("auto")
        self.assertFalse(choice.failed(UNANSWERED))
        self.assertTrue(choice.failed(UNANSWERED))
        self.assertFalse(choice.mqtt5)
        choice.accepted()
        return choice

    def test_auto_begins_with_5_and_falls_back_only_for_the_version(self) -> None:
        choice = ProtocolChoice("auto")
        for error in (ConnectionRefused(5, ""), ConnectionRefused(0x87, ""), MqttError("timeout")):
            self.assertFalse(choice.failed(error))
            self.assertTrue(choice.mqtt5)
        self.assertTrue(choice.failed(REFUSED))
        self.assertFalse(choice.mqtt5)

    def test_a_version_that_was_chosen_is_kept(self) -> None:
        for protocol in ("5", "3.1.1"):
            choice = ProtocolChoice(protocol)
            for _ in range(3):
                self.assertFalse(choice.failed(UNANSWERED))
                self.assertFalse(choice.failed(ConnectionRefused(1, "")))
            choice.accepted()
            self.assertIsNone(choice.doubt_after)
            self.assertEqual(choice.mqtt5, protocol == "5")

    def test_when_311_fails_the_same_way_5_is_tried_again_after_a_wait(self) -> None:
        choice = ProtocolChoice("auto")
        choice.failed(ConnectionRefused(1, ""))
        self.assertFalse(choice.failed(ConnectionRefused(1, "")))
        self.assertTrue(choice.mqtt5)

    def test_a_refusal_is_no_guess_and_not_doubted(self) -> None:
        choice = ProtocolChoice("auto")
        choice.failed(REFUSED)
        choice.accepted()
        self.assertIsNone(choice.doubt_after)
        choice.connection_ended()
        self.assertTrue(choice.mqtt5)

    def test_a_guess_is_doubted_within_a_minute(self) -> None:
        choice = self.guessed()
        self.assertEqual(choice.doubt_after, FIRST_DOUBT)
        self.assertLess(FIRST_DOUBT + 10, 60)
        choice.doubted()
        self.assertTrue(choice.mqtt5)
        choice.accepted()
        self.assertIsNone(choice.doubt_after)

    def test_each_time_that_it_turns_out_right_it_is_doubted_later(self) -> None:
        choice = self.guessed()
        waits = []
        for _ in range(9):
            waits.append(choice.doubt_after)
            choice.doubted()
            self.assertTrue(choice.failed(UNANSWERED))  # at once: one more silence is enough
            choice.accepted()
        self.assertEqual(waits[:3], [FIRST_DOUBT, 2 * FIRST_DOUBT, 4 * FIRST_DOUBT])
        self.assertEqual(waits[-1], MAX_DOUBT)
        choice.connection_ended()
        self.assertTrue(choice.mqtt5)
        choice.failed(UNANSWERED)
        choice.failed(UNANSWERED)
        self.assertEqual(choice.doubt_after, FIRST_DOUBT)

    def test_a_doubt_that_meets_a_refusal_is_settled(self) -> None:
        choice = self.guessed()
        choice.doubted()
        self.assertTrue(choice.failed(REFUSED))
        choice.accepted()
        self.assertIsNone(choice.doubt_after)

    def test_once_5_was_accepted_nothing_but_a_refusal_leads_to_311(self) -> None:
        choice = ProtocolChoice("auto")
        choice.accepted()
        choice.connection_ended()
        for _ in range(20):
            self.assertFalse(choice.failed(UNANSWERED))
            self.assertTrue(choice.mqtt5)
        self.assertTrue(choice.failed(REFUSED))
        self.assertFalse(choice.mqtt5)

    def test_where_neither_is_answered_each_has_its_turn(self) -> None:
        choice = ProtocolChoice("auto")
        versions = []
        for _ in range(8):
            versions.append(choice.mqtt5)
            choice.failed(UNANSWERED)
        self.assertEqual(versions, [True, True, False, False] * 2)
