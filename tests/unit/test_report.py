"""What each PUBLISH means: topics, strict JSON, bare words and the status rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.devices.report import (
    DATA,
    HEARTBEAT,
    KINDS,
    STATUS,
    DeviceReport,
    ForeignTopic,
    Refused,
    ReportRules,
    UnknownDevice,
    decode,
    parse_json,
    source_of,
)

RULES = ReportRules()
NOT_AN_OBJECT = "the payload is neither a JSON object nor a bare word such as offline"


def _matches(levels: Sequence[str], topic: Sequence[str]) -> bool:
    """Section 4.7 of MQTT 5, for filters without ``#``."""
    pairs = zip(levels, topic, strict=False)
    return len(levels) == len(topic) and all(level in ("+", other) for level, other in pairs)


class DecodeTestCase(SynchronousTestCase):
    def refusal(self, topic: bytes, payload: bytes = b"{}", rules: ReportRules = RULES) -> Refused:
        return self.assertRaises(Refused, decode, topic, payload, rules)  # type: ignore[no-any-return]

    def status(self, payload: bytes, rules: ReportRules = RULES) -> DeviceReport:
        return decode(b"devices/d1/status", payload, rules)


class TopicTests(DecodeTestCase):
    def test_the_three_kinds_are_the_last_topic_level(self) -> None:
        for level, kind in zip(KINDS, (DATA, STATUS, HEARTBEAT), strict=True):
            report = decode(f"devices/d1/{level}".encode(), b"{}", RULES)
            self.assertEqual((report.device, report.kind), ("d1", kind))

    def test_the_kinds_are_different_bits(self) -> None:
        self.assertEqual(sorted([DATA, STATUS, HEARTBEAT, DATA | STATUS | HEARTBEAT]), [1, 2, 4, 7])

    def test_the_device_is_kept_as_it_spelled_itself(self) -> None:
        for device in ("AbC", "a.b_c:d-e", "0", "x" * 36, "3F2504E0-4F89-11D3-9A0C-0305E82C3301"):
            self.assertEqual(decode(f"devices/{device}/data".encode(), b"{}", RULES).device, device)

    def test_a_level_that_is_not_1_to_36_of_the_allowed_characters_is_an_unknown_device(self) -> None:
        for device in ("", "x" * 37, "a b", "设备", "a\n", "a\0", "a%", "a+", "#", "é", "a,b", "\uff41", "\u0661"):
            for kind in KINDS:
                refused = self.refusal(f"devices/{device}/{kind}".encode())
                self.assertIsInstance(refused, UnknownDevice, device)
                assert isinstance(refused, UnknownDevice)
                self.assertEqual((refused.device, refused.reason), (device, "unknown_device"))
                self.assertEqual(refused.detail, "not 1 to 36 characters of A-Z a-z 0-9 . _ : -")

    def test_a_topic_that_is_none_of_ours_is_foreign(self) -> None:
        for topic in (
            "",
            "devices",
            "devices/d1",
            "devices/d1/",
            "devices/d1/control",
            "devices/d1/Data",
            "devices/d1/data/",
            "devices/d1/data\n",
            "devices/d1/x/data",
            "/devices/d1/data",
            "Devices/d1/data",
            "xdevices/d1/data",
            "devices2/d1/data",
            "data",
            "devices/data",
        ):
            refused = self.refusal(topic.encode())
            self.assertIsInstance(refused, ForeignTopic, topic)
            assert isinstance(refused, ForeignTopic)
            self.assertEqual((refused.topic, refused.reason), (topic, "foreign_topic"))
            self.assertEqual(refused.detail, "not a topic of this service")

    def test_a_topic_that_is_not_utf8_is_refused(self) -> None:
        for topic in (b"devices/\xff/data", b"devices/\xed\xa0\x80/data", b"\xc3"):
            refused = self.refusal(topic)
            self.assertEqual((refused.reason, refused.detail), ("bad_topic", "the topic is not UTF-8"))

    def test_a_prefix_may_have_several_levels(self) -> None:
        rules = ReportRules(topic_prefix="iot/v1/devices")
        self.assertEqual(decode(b"iot/v1/devices/d1/data", b"{}", rules).device, "d1")
        self.assertIsInstance(self.refusal(b"iot/v1/devices/a b/data", rules=rules), UnknownDevice)
        for topic in (b"devices/d1/data", b"iot/v2/devices/d1/data", b"iot/v1/d1/data", b"iot/v1/devices/d1/x/data"):
            self.assertIsInstance(self.refusal(topic, rules=rules), ForeignTopic, topic)

    def test_a_prefix_is_taken_literally(self) -> None:
        rules = ReportRules(topic_prefix="a.b(c")
        self.assertEqual(decode(b"a.b(c/d1/data", b"{}", rules).device, "d1")
        self.assertIsInstance(self.refusal(b"axb(c/d1/data", rules=rules), ForeignTopic)

    def test_there_may_be_several_prefixes_of_which_one_may_be_the_beginning_of_another(self) -> None:
        rules = ReportRules(topic_prefix="a,a/b,c.d")
        self.assertEqual(rules.topic_filters[2:5], ["a/+/heartbeat", "a/b/+/data", "a/b/+/status"])
        for topic, device in ((b"a/d1/data", "d1"), (b"a/b/data", "b"), (b"a/b/d1/data", "d1"), (b"c.d/d1/data", "d1")):
            self.assertEqual(decode(topic, b"{}", rules).device, device)
            self.assertEqual(source_of(topic, rules), (device, DATA))
        for topic in (b"a/b/x y/data", b"c.d//data", b"a//status"):
            self.assertIsInstance(self.refusal(topic, rules=rules), UnknownDevice, topic)
        for topic in (b"a/c/d1/data", b"cxd/d1/data", b"a,a/b/d1/data", b"d1/data", b"data", b"/d1/data"):
            self.assertIsInstance(self.refusal(topic, rules=rules), ForeignTopic, topic)

    def test_no_topic_matches_two_of_several_filters(self) -> None:
        filters = ReportRules(topic_prefix="a,a/b,a/b/c,b,b/b,data").topic_filters
        levels = ("a", "b", "c", "data", "heartbeat")
        for count in range(1, 6):
            for topic in product(levels, repeat=count):
                matching = [each for each in filters if _matches(each.split("/"), topic)]
                self.assertLess(len(matching), 2, topic)

    def test_rules_with_the_same_settings_are_equal(self) -> None:
        self.assertEqual(ReportRules(), ReportRules(topic_prefix="devices"))
        self.assertNotEqual(ReportRules(), ReportRules(topic_prefix="d"))
        self.assertNotIn("pattern", repr(RULES))


class DataTests(DecodeTestCase):
    def test_the_payload_is_handed_on_as_sent(self) -> None:
        for payload in (b"{}", b' {"b": 1,  "a":1,"a":2}\r\n', '{"温度": 21.50, "é": "\\u4e2d"}'.encode()):
            report = decode(b"devices/d1/data", payload, RULES)
            self.assertEqual(report, DeviceReport("d1", DATA, payload, None, True, None))

    def test_a_status_member_of_data_is_only_payload(self) -> None:
        payload = b'{"status": "offline"}'
        self.assertEqual(
            decode(b"devices/d1/data", payload, RULES), DeviceReport("d1", DATA, payload, None, True, None)
        )

    def test_a_top_level_other_than_an_object_is_refused(self) -> None:
        for payload in (b"[]", b"1", b'"text"', b"null", b"true", b"[{}]"):
            refused = self.refusal(b"devices/d1/data", payload)
            self.assertEqual(
                (refused.reason, refused.detail), ("not_an_object", "the payload is JSON, but not an object")
            )

    def test_a_bare_word_is_no_data(self) -> None:
        self.assertEqual(self.refusal(b"devices/d1/data", b"offline").reason, "bad_json")


class StrictJsonTests(DecodeTestCase):
    def test_what_is_not_strict_json_is_refused(self) -> None:
        for what, payload in (
            ("empty", b""),
            ("blank", b" \n"),
            ("NaN", b'{"a": NaN}'),
            ("Infinity", b'{"a": Infinity}'),
            ("minus Infinity", b'{"a": -Infinity}'),
            ("beyond a double", b'{"a": 1e400}'),
            ("beyond a double, negative", b'{"a": -1e400}'),
            ("a whole number beyond a double", b'{"a": ' + b"9" * 400 + b"}"),
            ("a lone high surrogate", b'{"a": "\\ud800"}'),
            ("a lone low surrogate", b'{"a": "\\udc00"}'),
            ("a high surrogate before something else", b'{"a": "\\ud800\\u0041"}'),
            ("a lone surrogate in a name", b'{"\\ud800": 1}'),
            ("a surrogate in UTF-8", b'{"a": "\xed\xa0\x80"}'),
            ("not UTF-8", b'{"a": "\xff"}'),
            ("cut UTF-8", b'{"a": "\xe4\xb8'),
            ("over-long UTF-8", b'{"a": "\xc0\xaf"}'),
            ("GBK", '{"a": "中文"}'.encode("gbk")),
            ("UTF-16", '{"a": 1}'.encode("utf-16")),
            ("a byte order mark", b'\xef\xbb\xbf{"a": 1}'),
            ("something behind", b"{}x"),
            ("two documents", b"{}{}"),
            ("a NUL behind", b"{}\0"),
            ("not closed", b'{"a": 1'),
            ("closed twice", b'{"a": 1}}'),
            ("single quotes", b"{'a': 1}"),
            ("no quotes", b"{a: 1}"),
            ("a comma too many", b'{"a": 1,}'),
            ("a comment", b'{"a": 1} // x'),
            ("a leading zero", b'{"a": 01}'),
            ("a plus sign", b'{"a": +1}'),
            ("a bare fraction", b'{"a": .5}'),
            ("hexadecimal", b'{"a": 0x1}'),
            ("a line break in a text", b'{"a": "\n"}'),
            ("an unknown escape", b'{"a": "\\x41"}'),
            ("200,000 opening brackets", b"[" * 200_000),
            ("200,000 objects", b'{"a":' * 200_000),
        ):
            for kind in (b"data", b"status"):
                refused = self.refusal(b"devices/d1/" + kind, payload)
                self.assertEqual(refused.reason, "bad_json", what)
                self.assertTrue(refused.detail.startswith("not valid JSON: "), refused.detail)

    def test_the_refusal_says_where(self) -> None:
        self.assertIn("line 2 column 7", self.refusal(b"devices/d1/data", b'{\n "a": x}').detail)

    def test_the_edges_of_strict_json_are_accepted(self) -> None:
        for payload in (
            b'{"a": 1.7976931348623157e308}',
            b'{"a": 1e-400}',
            b'{"a": 123456789012345678901234567890}',
            b'{"a": "\\ud83d\\ude00"}',
            b'{"a": "\\u0000"}',
            b'{"": null, "\\"": [true, false]}',
            b'\t\r\n {"a": -0}',
        ):
            self.assertEqual(decode(b"devices/d1/data", payload, RULES).document, payload)

    def test_depth_31_is_accepted_and_32_is_refused(self) -> None:
        shapes: list[tuple[str, bytes, bytes, bytes]] = [
            ("objects", b'{"a":', b"1", b"}"),
            ("objects around an empty text", b'{"a":', b'""', b"}"),
            ("arrays", b"[", b"1", b"]"),
            ("arrays with company", b"[0,", b"1", b",2]"),
        ]
        for name, opening, value, closing in shapes:
            for depth, accepted in ((30, True), (31, True), (32, False), (100, False), (1000, False)):
                # The top level is an object, whatever is nested in it.
                payload = b'{"x":' + opening * (depth - 1) + value + closing * (depth - 1) + b"}"
                for topic in (b"devices/d1/data", b"devices/d1/status"):
                    if accepted:
                        self.assertEqual(decode(topic, payload, RULES).document, payload, (name, depth))
                    else:
                        refused = self.refusal(topic, payload)
                        told = (refused.reason, refused.detail)
                        self.assertEqual(told, ("too_deep", "nested deeper than 31 levels"), (name, depth))

    def test_an_empty_container_counts_as_a_level(self) -> None:
        for innermost in (b"{}", b"[]"):
            deepest = b'{"a":' * 30 + innermost + b"}" * 30
            self.assertEqual(decode(b"devices/d1/data", deepest, RULES).document, deepest)
            self.assertEqual(self.refusal(b"devices/d1/data", b'{"a":' + deepest + b"}").reason, "too_deep")

    def test_brackets_that_do_not_nest_cost_no_depth(self) -> None:
        wide = b'{"a": [' + b",".join([b"[{}]"] * 200) + b"]}"
        in_text = b'{"a": "' + b"[{" * 500 + b'", "' + b"[" * 100 + b'": 1}'
        escaped = b'{"a": "\\"' + b"{" * 100 + b'\\\\"}'
        for payload in (wide, in_text, escaped):
            self.assertEqual(decode(b"devices/d1/data", payload, RULES).document, payload)

    def test_brackets_in_a_text_do_not_hide_depth(self) -> None:
        payload = b'{"t":"]]]]}}}}","a":' * 32 + b"1" + b"}" * 32
        self.assertEqual(self.refusal(b"devices/d1/data", payload).reason, "too_deep")

    def test_depth_is_that_of_the_deepest_branch(self) -> None:
        deep = b'{"a":' * 31 + b"1" + b"}" * 31
        self.assertEqual(self.refusal(b"devices/d1/data", b'{"x": 1, "y": [], "z": ' + deep + b"}").reason, "too_deep")

    def test_a_member_hides_no_depth_of_an_earlier_one_of_the_same_name(self) -> None:
        payload = b'{"a": ' + b"[" * 31 + b"]" * 31 + b', "a": 1}'
        self.assertEqual(self.refusal(b"devices/d1/data", payload).reason, "too_deep")

    def test_parse_json_returns_what_the_text_says(self) -> None:
        self.assertEqual(parse_json(b'{"a": [1, 2.5, null, true, "x"]}'), {"a": [1, 2.5, None, True, "x"]})


class BareWordTests(DecodeTestCase):
    def test_a_bare_word_is_stored_as_a_status_object(self) -> None:
        for word in ("offline", "online", "a", "A1", "On-Line_2", "x" * 20, "NULL", "True", "nan", "infinity"):
            expected = DeviceReport(
                "d1", STATUS, b'{"status": "%s"}' % word.encode(), word, word.lower() != "offline", None
            )
            for payload in (word, f'"{word}"', f"  {word}\r\n", f' "{word}"\n'):
                self.assertEqual(self.status(payload.encode()), expected, payload)

    def test_an_escaped_bare_word_is_stored_as_what_it_says(self) -> None:
        self.assertEqual(self.status(b'"\\u006fffline"').document, b'{"status": "offline"}')

    def test_what_is_no_bare_word_is_refused(self) -> None:
        too_long = "x" * 21
        for payload in (too_long, "1a", "_a", "-a", "a b", "a.b", "a:b", "离线", "é", "off\nline", "a\0", "+", "a;"):
            self.assertEqual(self.refusal(b"devices/d1/status", payload.encode()).reason, "bad_json", payload)

    def test_a_json_text_that_is_no_bare_word_is_refused(self) -> None:
        for text in ("", "x" * 21, "1a", "a b", "离线", "null", "true", "false", "NaN", "Infinity", "a\\n"):
            refused = self.refusal(b"devices/d1/status", f'"{text}"'.encode())
            self.assertEqual((refused.reason, refused.detail), ("not_an_object", NOT_AN_OBJECT), text)

    def test_the_words_of_json_are_no_bare_words(self) -> None:
        for word in (b"null", b"true", b"false"):
            refused = self.refusal(b"devices/d1/status", word)
            self.assertEqual((refused.reason, refused.detail), ("not_an_object", NOT_AN_OBJECT), word)
        for word in (b"NaN", b"Infinity", b"-Infinity"):
            self.assertEqual(self.refusal(b"devices/d1/status", word).reason, "bad_json", word)

    def test_a_top_level_other_than_object_or_word_is_refused(self) -> None:
        for payload in (b"1", b"[]", b'["offline"]', b"0.5"):
            refused = self.refusal(b"devices/d1/status", payload)
            self.assertEqual((refused.reason, refused.detail), ("not_an_object", NOT_AN_OBJECT), payload)


class StatusTests(DecodeTestCase):
    def test_a_status_that_fits_is_stored_as_text(self) -> None:
        for member, text in (
            ('"online"', "online"),
            ('"Ready to go"', "Ready to go"),
            ('"' + "x" * 20 + '"', "x" * 20),
            ('"' + "离" * 20 + '"', "离" * 20),
            ('"' + "🎉" * 20 + '"', "🎉" * 20),
            ('"null"', "null"),
            ("0", "0"),
            ("-12", "-12"),
            ("1.50", "1.5"),
            ("1e2", "100.0"),
        ):
            payload = f'{{"a": 1, "status": {member}}}'.encode()
            self.assertEqual(self.status(payload), DeviceReport("d1", STATUS, payload, text, True, None), member)

    def test_a_status_that_cannot_be_stored_leaves_the_column_and_the_rest_counts(self) -> None:
        for member, why in (
            ("true", "a status must be a text or a number, not bool"),
            ("false", "a status must be a text or a number, not bool"),
            ("null", "a status must be a text or a number, not NoneType"),
            ("[]", "a status must be a text or a number, not list"),
            ('{"status": "x"}', "a status must be a text or a number, not dict"),
            ('""', "the status is empty"),
            ('"' + "x" * 21 + '"', "the status has 21 characters, the column holds 20"),
            ('"' + "离" * 21 + '"', "the status has 21 characters, the column holds 20"),
            ("123456789012345678901", "the status has 22 characters, the column holds 20"),
        ):
            payload = f'{{"status": {member}}}'.encode()
            self.assertEqual(self.status(payload), DeviceReport("d1", STATUS, payload, None, True, why), member)

    def test_without_a_status_member_the_column_is_left_alone_without_a_word(self) -> None:
        for payload in (b"{}", b'{"Status": "offline"}', b'{"a": {"status": "offline"}}'):
            self.assertEqual(self.status(payload), DeviceReport("d1", STATUS, payload, None, True, None))

    def test_the_last_of_two_status_members_counts(self) -> None:
        report = self.status(b'{"status": "offline", "status": "online"}')
        self.assertEqual((report.status, report.is_online), ("online", True))

    def test_offline_in_any_case_is_not_online(self) -> None:
        for word, online in (
            ("offline", False),
            ("OFFLINE", False),
            ("OffLine", False),
            ("online", True),
            ("offline ", True),
            ("off", True),
            ("0", True),
        ):
            report = self.status(f'{{"status": "{word}"}}'.encode())
            self.assertEqual((report.is_online, report.status), (online, word))

    def test_offline_is_not_online_even_when_the_word_may_not_be_stored(self) -> None:
        for rules in (ReportRules(status_values=frozenset({"active"})), ReportRules(status_length=6)):
            for payload in (b'{"status": "Offline"}', b"Offline", b'"Offline"'):
                report = self.status(payload, rules)
                self.assertEqual((report.is_online, report.status), (False, None))
                self.assertIsNotNone(report.ignored_status)

    def test_only_a_word_of_device_status_values_is_stored(self) -> None:
        rules = ReportRules(status_values=frozenset({"active", "offline", "7"}))
        for payload, status in (
            (b'{"status": "active"}', "active"),
            (b"offline", "offline"),
            (b'{"status": 7}', "7"),
            (b'{"status": "Active"}', None),
            (b'{"status": "other"}', None),
            (b"online", None),
        ):
            report = self.status(payload, rules)
            self.assertEqual(report.status, status, payload)
            why = None if status else "the status is not one of DEVICE_STATUS_VALUES"
            self.assertEqual(report.ignored_status, why, payload)
            self.assertIsNotNone(report.document)

    def test_the_length_is_that_of_the_column(self) -> None:
        rules = ReportRules(status_length=3)
        self.assertEqual(self.status(b'{"status": "abc"}', rules).status, "abc")
        report = self.status(b'{"status": "abcd"}', rules)
        self.assertEqual(report.ignored_status, "the status has 4 characters, the column holds 3")


class HeartbeatTests(DecodeTestCase):
    def test_a_heartbeat_is_never_parsed(self) -> None:
        for payload in (b"", b"\xff\x00", b"offline", b'{"status": "offline"}', b"[" * 200_000, b"NaN"):
            self.assertEqual(
                decode(b"devices/d1/heartbeat", payload, RULES), DeviceReport("d1", HEARTBEAT, None, None, True, None)
            )
