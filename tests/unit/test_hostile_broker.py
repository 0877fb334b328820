"""The fuzzing of packets and payloads in short, and that it would notice what it is there to notice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from twisted.internet.defer import fail
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices import report
from aiot_mqtt.devices.report import DATA, DeviceReport, ReportRules
from aiot_mqtt.ingest import ingest
from aiot_mqtt.mqtt import connection, foreign_topics, packets
from aiot_mqtt.mqtt.encoding import (
    encode_length,
    encode_packet,
    encode_publish,
)
from aiot_mqtt.mqtt.errors import MqttError
from aiot_mqtt.telemetry import refusals
from fuzz import decoding, hostile_broker, second_opinion
from fuzz.decoding import fuzz_decoding, fuzz_with_atheris, shortest
from fuzz.giant_publish import refuse_giant
from fuzz.hostile_broker import Outcome, play, run_streams, shorten
from fuzz.packet_streams import CONNACK, DISCONNECT, MAX_LENGTH, Step, Stream
from fuzz.second_opinion import Members, depth, judge, strict_json
from rig.selection import rounds

ACCEPTED = encode_packet(CONNACK, b"\0\0\0")
PINGREQ = b"\xc0\x00"


def publish(topic: bytes = b"devices/d1/data", payload: bytes = b"{}") -> bytes:
    return encode_publish(topic, payload, 1, mqtt5=True)


def stream(*reads: bytes) -> Stream:
    steps = tuple(Step("read", data) for data in reads)
    return Stream(mqtt5=True, max_payload=1000, ends_by_reset=False, is_lost_at_once=False, steps=steps)


class StreamTests(SynchronousTestCase):
    def test_no_stream_does_what_it_must_not(self) -> None:
        told: list[int] = []
        streams = rounds(2000)
        result = run_streams(1, streams, told.append)
        self.assertEqual(result.findings, ())
        self.assertEqual((result.streams, sum(result.endings.values())), (streams, streams))
        self.assertEqual(told, [*range(0, streams, 1000), streams])
        # Else they would prove little: many get as far as messages, and end in many ways.
        self.assertGreater(result.received, 0.75 * streams)
        self.assertGreater(len(result.endings), 20)
        self.assertGreater(result.max_held, 1000)

    def test_the_same_seed_makes_the_same_streams(self) -> None:
        first, again, other = (run_streams(seed, rounds(200)) for seed in (7, 7, 8))
        self.assertEqual((first.endings, first.received), (again.endings, again.received))
        self.assertNotEqual(first.endings, other.endings)

    def test_the_longest_publish_is_refused_without_being_held(self) -> None:
        for is_cut_off in (False, True):
            result = refuse_giant(is_cut_off=is_cut_off)
            self.assertIsNone(result.problem)
            self.assertGreater(result.fed, MAX_LENGTH // 2 - 100)
            self.assertLess(result.allocated, 1 << 20)
            self.assertLess(result.held, 100)
            self.assertEqual(result.refused, {"too_large": 1})
            self.assertIn("cut off", result.reason)

    def test_the_command_line_repeats_a_stream(self) -> None:
        self.assertIn("problem=None", self.said_by(["--repeat", "130060852793004"], 0))

    def test_the_command_line_sums_up(self) -> None:
        said = self.said_by(["--streams", "20", "--seed", "3"], 0)
        self.assertIn("20 streams", said)
        self.assertNotIn("WRONG", said)

    def test_the_command_line_tells_of_what_is_wrong(self) -> None:
        self.patch(connection, "connack_reason", lambda *_arguments: "")
        said = self.said_by(["--streams", "40", "--seed", "3"], 1)
        self.assertIn("WRONG: stream ", said)

    def said_by(self, arguments: list[str], expected: int) -> str:
        with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()):
            self.assertEqual(hostile_broker.main(arguments), expected)
        return said.getvalue()


class WrongTests(SynchronousTestCase):
    """Each sort of wrong, brought about by breaking what keeps it away."""

    def assert_wrong(self, what: str, *reads: bytes) -> Outcome:
        outcome = play(stream(ACCEPTED, *reads))
        self.assertTrue((outcome.problem or "").startswith(what), outcome)
        return outcome

    def test_nothing_is_wrong_otherwise(self) -> None:
        outcome = play(
            stream(ACCEPTED, publish(), publish(b"t" * 65_535), encode_packet(DISCONNECT, b"\x8e") + publish())
        )
        self.assertEqual(outcome[:3], (None, "the broker disconnected: Session taken over (142)", 2))

    def test_an_exception_that_escapes(self) -> None:
        def raise_one(*_arguments: object) -> None:
            raise KeyError("a fault")

        self.patch(packets, "_publish_head", raise_one)
        self.assert_wrong("raised: KeyError('a fault')", publish())

    def test_a_loop_without_end(self) -> None:
        def loop(_self: object) -> None:
            while True:
                pass

        self.patch(hostile_broker, "PATIENCE", 0.01)
        self.patch(ingest.Ingest, "read_finished", loop)
        self.assert_wrong("stuck: ", publish())

    def test_an_error_that_is_logged(self) -> None:
        self.patch(foreign_topics, "MAX_FILTER", 1_000_000)
        self.assert_wrong("logged: ", publish(b"t" * 65_535))
        self.assertTrue(self.flushLoggedErrors())

    def test_a_failure_that_nobody_hears(self) -> None:
        def lose_one(_self: object) -> None:
            unheard = fail(RuntimeError("unheard"))
            circle: list[object] = [unheard]  # which only the collector finds
            circle.append(circle)

        self.patch(ingest.Ingest, "read_finished", lose_one)
        self.assert_wrong("logged: ", publish())
        self.assertTrue(self.flushLoggedErrors(RuntimeError))

    def test_a_log_line_as_the_broker_wrote_it(self) -> None:
        self.patch(refusals, "shorten", lambda _text: "one line\nanother")
        self.assert_wrong("logged: a line of ", publish(payload=b"{"))

    def test_a_packet_that_is_held_though_it_is_too_long(self) -> None:
        self.patch(packets.PacketReader, "_refuse_oversized", lambda *_arguments: False)
        self.assert_wrong("holds: ", publish(payload=b"x" * 600_000)[:500_000])

    def test_a_message_that_is_handed_over_after_the_end(self) -> None:
        self.patch(packets.PacketReader, "stop", lambda _reader: None)
        self.assert_wrong("late: ", encode_packet(DISCONNECT, b"") + publish())

    def test_a_refusal_that_is_not_counted(self) -> None:
        self.patch(refusals.Refusals, "refuse", lambda *_arguments: None)
        self.assert_wrong("sum: ", publish(payload=b"no JSON"))

    def test_a_packet_of_a_sort_that_no_client_sends(self) -> None:
        self.patch(connection, "PINGREQ", -1)
        self.assert_wrong("said: ", PINGREQ)

    def test_an_end_without_a_reason(self) -> None:
        self.patch(connection.MqttConnection, "abort", lambda aborted, _reason: aborted._abort(MqttError("")))
        self.assert_wrong("end: closed ", encode_packet(DISCONNECT, b""))

    def test_a_timer_that_is_left_running(self) -> None:
        self.patch(LoopingCall, "stop", lambda _call: None)
        self.assert_wrong("end: left running")

    def test_a_wrong_stream_is_shortened_to_what_is_wrong_with_it(self) -> None:
        self.patch(connection, "PINGREQ", -1)
        long = stream(ACCEPTED, publish(), publish() + PINGREQ[:1], PINGREQ[1:] + publish(), publish())
        self.assertEqual(shorten(long, "said: ").steps, (Step("read", ACCEPTED), Step("read", PINGREQ)))


class DecodingTests(SynchronousTestCase):
    def test_no_input_is_decoded_otherwise_than_by_the_second_opinion(self) -> None:
        inputs = rounds(6000)
        result = fuzz_decoding(1, inputs)
        self.assertEqual(result.findings, ())
        self.assertEqual(result.accepted + sum(result.refused.values()), inputs)
        self.assertGreater(result.accepted, inputs / 6)
        reasons = {"bad_json", "bad_topic", "foreign_topic", "not_an_object", "too_deep", "unknown_device"}
        self.assertEqual(set(result.refused), reasons)
        self.assertGreater(result.kept, inputs / 300)
        self.assertGreater(result.reached, 100)

    def test_the_same_seed_makes_the_same_inputs(self) -> None:
        first, again, other = (fuzz_decoding(seed, 1000) for seed in (7, 7, 8))
        self.assertEqual((first.refused, first.reached), (again.refused, again.reached))
        self.assertNotEqual(first.refused, other.refused)

    def test_who_traces_already_goes_on(self) -> None:
        before = sys.gettrace()
        fuzz_decoding(1, 10)
        self.assertIs(sys.gettrace(), before)

    def test_a_decoder_that_takes_too_much_is_found_with_a_short_input(self) -> None:
        self.patch(report, "parse_json", self.lax)
        result = fuzz_decoding(1, 2000)
        self.assertEqual(len(result.findings), decoding.MAX_FINDINGS)
        self.assertLess(min(len(finding.shortened) for finding in result.findings), 2 * len("devices/d1/data {NaN:1}"))

    def test_a_delivery_that_is_counted_nowhere_is_found(self) -> None:
        self.patch(ingest.Ingest, "_refuse", lambda *_arguments: None)
        result = fuzz_decoding(1, 500)
        self.assertIn("received", result.findings[0].problem)

    def test_atheris_is_asked_for_where_it_is_missing(self) -> None:
        self.patch(sys, "modules", {**sys.modules, "atheris": None})
        error = self.assertRaises(SystemExit, fuzz_with_atheris, [])
        self.assertIn("pip install", str(error))

    def lax(self, payload: bytes) -> object:
        try:
            return json.loads(payload)
        except (ValueError, RecursionError):
            raise report.Refused("bad_json", "") from None


class SecondOpinionTests(SynchronousTestCase):
    def judged(self, payload: bytes, decode: Callable[..., DeviceReport]) -> str:
        self.patch(second_opinion, "decode", decode)
        return judge(b"devices/d1/data", payload, ReportRules()).problem or ""

    def test_it_notices_each_wrong_answer(self) -> None:
        def raising(error: Exception) -> Callable[..., Any]:
            def decode(*_arguments: object) -> DeviceReport:
                raise error

            return decode

        right = DeviceReport("d1", DATA, b"{}")
        self.assertEqual(self.judged(b"{}", lambda *_: right), "")
        for wrong in (right._replace(device="D1"), right._replace(document=None), right._replace(is_online=False)):
            self.assertIn("accepted as", self.judged(b"{}", lambda *_, wrong=wrong: wrong))
        self.assertIn("accepted as", self.judged(b"{", lambda *_: right))
        self.assertIn("raised", self.judged(b"{}", raising(RecursionError())))
        self.assertIn("refused", self.judged(b"{}", raising(report.Refused("bad_json", ""))))
        self.assertIn("refused", self.judged(b"{", raising(report.Refused("too_deep", ""))))
        self.assertIn("refused", self.judged(b"{", raising(report.Refused("bad_json", "x" * 1000))))

    def test_its_json_is_strict(self) -> None:
        for payload in (
            *(b"NaN", b"-Infinity", b"1e400", b"9" * 400, b"01", b"", b"1 2", b'"\n"', b'"\xff"', b"\xef\xbb\xbf1"),
            *(b'"\\ud800"', b'{"\\udc00":1}', b'{"a":["\\ud800"],"a":1}', b'"\xed\xa0\x80"'),
        ):
            self.assertRaises(ValueError, strict_json, payload)
        self.assertEqual(strict_json(b' [1, 0.5, "\\ud83d\\ude00", {}] '), [1, 0.5, "\U0001f600", Members()])

    def test_its_depth_counts_what_is_hidden_too(self) -> None:
        for payload, levels in ((b"1", 0), (b"[[],[{}]]", 3), (b'{"[[":"\\"[["}', 1), (b'{"a":[[]],"a":1}', 3)):
            self.assertEqual(depth(strict_json(payload)), levels)

    def test_what_can_be_left_out_is_left_out(self) -> None:
        self.assertEqual(shortest(b"xxaxxxxbxx" * 9, lambda less: b"a" in less and b"b" in less, 1000), b"ab")
        self.assertEqual(shortest((1, 2, 3), lambda less: 2 in less, 100), (2,))
        self.assertEqual(encode_length(MAX_LENGTH), b"\xff\xff\xff\x7f")
