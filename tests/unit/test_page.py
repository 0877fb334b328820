"""The page: whole at first, escaped, in two languages, for whom it is, and kept true by one look a second."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

from aiot_mqtt.devices.update import DeviceUpdate
from aiot_mqtt.health.device import DeviceFacts, Row
from aiot_mqtt.health.figures import BrokerFigures, DatabaseFigures, Figures, PresenceFigures, SpoolFigures
from aiot_mqtt.health.history import LONG, SHORT, History
from aiot_mqtt.health.metrics import Beside, Past
from aiot_mqtt.health.site import health_site
from aiot_mqtt.health.state import State
from aiot_mqtt.health.trends import Trends
from aiot_mqtt.ingest.pending import PendingUpdates
from aiot_mqtt.page import words
from aiot_mqtt.page.cards import devices
from aiot_mqtt.page.chart import chart
from aiot_mqtt.page.icons import icon
from aiot_mqtt.page.live import LOOK_INTERVAL, MAX_VIEWERS, NOT_READING, Live, Shown, View
from aiot_mqtt.page.looks import Looks
from aiot_mqtt.page.markup import VOID, Markup, element, joined
from aiot_mqtt.page.moment import Moment, take
from aiot_mqtt.page.reader import LANGUAGES, Reader, language_of
from aiot_mqtt.page.resources import page_resources
from aiot_mqtt.presence.flips import KEPT, Flips
from aiot_mqtt.presence.heard_devices import HeardDevices
from aiot_mqtt.telemetry.bilingual import Bilingual
from aiot_mqtt.telemetry.counters import Counters
from aiot_mqtt.telemetry.outage import Trouble
from aiot_mqtt.telemetry.printable import escaped
from aiot_mqtt.telemetry.refusals import Refusals
from aiot_mqtt.telemetry.remembered import Remembered

ZONE = ZoneInfo("Asia/Shanghai")
NOON = 1_800_000_000.0
TOKEN = "s3cret-Token"
HOSTILE = "\"'><script>alert(1)</script>\u202egnp.\0\x1b[2J<img src=x onerror=alert(2)>{{&amp;"
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


class Outline(HTMLParser):
    """The elements, attributes and texts of a document; whether each is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.is_nested = True
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.is_nested = self.is_nested and not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.is_nested = self.is_nested and bool(self._open) and self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def ids(self) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get("id"))]


def some_figures(**changes: object) -> Figures:
    broker = BrokerFigures(
        "broker:1883", is_subscribed=True, is_heard=True, window=100, silent_for=1.0, last_message_at=NOON
    )
    figures = Figures(NOON, 3600.0, broker, DatabaseFigures("database:3306/aiot", is_seen=True), SpoolFigures(True))
    return replace(figures, **changes)  # type: ignore[arg-type]


class MarkupTests(SynchronousTestCase):
    @given(st.text(), st.text())
    @example(HOSTILE, HOSTILE)
    @example("\r\n\t", "\ud800")
    def test_no_text_becomes_markup_and_none_is_invisible(self, text: str, value: str) -> None:
        html = element("p", text, title=value)
        outline = Outline(html)
        self.assertEqual(outline.elements, [("p", {"title": escaped(value)})])
        self.assertEqual("".join(outline.texts), escaped(text))
        self.assertTrue(outline.is_nested)
        self.assertTrue(html.isprintable())
        html.encode()

    def test_what_is_left_out_and_what_has_no_value(self) -> None:
        html = element("input", class_="a", data_x="1", required=True, disabled=False, value=None)
        self.assertEqual(html, '<input class="a" data-x="1" required>')
        self.assertEqual(joined("a<", None, Markup("<b>"), ["c", ("d",)]), "a&lt;<b>cd")


class HistoryTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.floats(0.2, 15.0), st.integers(0, 5000), st.integers(0, 5000)), max_size=80))
    def test_what_is_told_of_a_second_is_what_came_in_it(self, looks: list[tuple[float, int, int]]) -> None:
        counters = Counters()
        history, now = History(counters), 1000.5
        history.look(now)
        most = 0.0
        for passed, received, stored in looks:
            now += passed
            counters.received += received
            counters.stored += stored
            history.look(now)
            most = max(most, received / passed)
            times = [rate.at for rate in history.short]
            self.assertEqual(times, sorted(set(times)))
            self.assertTrue(not times or times[-1] <= now)
            self.assertTrue(all(0 <= rate.received <= most + 1e-6 and rate.stored >= 0 for rate in history.short))
        for rate in history.long:
            self.assertEqual(rate.at % 10, 0)
            self.assertLessEqual(rate.received, rate.peak + 1e-6)

    def test_it_is_bounded_and_each_second_is_there_once(self) -> None:
        counters = Counters()
        history = History(counters)
        for second in range(5000):
            counters.received += 7
            counters.stored += 5
            history.look(second + 0.3)
        self.assertEqual((len(history.short), len(history.long)), (SHORT, LONG))
        self.assertEqual({(rate.received, rate.stored) for rate in history.short}, {(7, 5)})
        self.assertEqual({(round(rate.received), rate.peak) for rate in history.long}, {(7, 7)})
        self.assertEqual([rate.at for rate in history.short], list(range(4400, 5000)))
        self.assertEqual(history.long[-1].at, 4990)

    def test_a_second_without_a_look_is_filled_and_a_long_gap_is_not(self) -> None:
        counters = Counters()
        history = History(counters)
        history.look(100.0)
        counters.received += 30
        history.look(103.0)
        self.assertEqual([(rate.at, rate.received) for rate in history.short], [(101, 10), (102, 10), (103, 10)])
        counters.received += 1000
        history.look(200.0)
        counters.received += 2
        history.look(201.0)
        self.assertEqual([rate.at for rate in history.short], [101, 102, 103, 201])


class FlipsTests(SynchronousTestCase):
    def test_each_change_is_there_once_and_the_last_one_first(self) -> None:
        now = [NOON]
        flips = Flips(lambda: now[0])
        a, b, c = (DeviceUpdate(name) for name in "abc")
        flips.went_silent(["a", "b"])
        flips.came_back(a)
        b.is_online = c.is_online = False
        flips.committed([a, b, c], [b, c])
        flips.committed([b], [b])
        c.is_online = True
        flips.committed([c], [])
        flips.committed([c], [])
        told = [(flip.device, flip.is_online, flip.is_own_word) for flip in reversed(flips.newest)]
        expected = [("a", False, False), ("b", False, False), ("a", True, False), ("b", False, True),
                    ("c", False, True), ("c", True, False)]  # fmt: skip
        self.assertEqual(told, expected)

    def test_sweeps_and_returns_are_told_by_who_knows_of_them(self) -> None:
        clock = Clock()
        heard = HeardDevices(Counters(), clock, PendingUpdates(), ZONE, lambda: NOON)
        trends = Trends(None, lambda: True, clock, lambda: NOON, flips=heard.flips)  # type: ignore[arg-type]
        heard.set_offline(["a", "b"])
        b = DeviceUpdate("b")
        b.last_seen = "2027-01-15 16:00:00"
        for listener in (heard, trends):
            listener.rows_committed([b], is_spooled=False)
        b.is_online = False
        for listener in (heard, trends):
            listener.rows_committed([b], is_spooled=False)
        told = [(flip.device, flip.is_online, flip.is_own_word) for flip in heard.flips.newest]
        self.assertEqual(told, [("b", False, True), ("b", True, False), ("b", False, False), ("a", False, False)])

    def test_memory_is_bounded(self) -> None:
        flips = Flips(lambda: NOON)
        flips.went_silent([f"d{number}" for number in range(10 * KEPT)])
        self.assertEqual((len(flips.newest), flips.newest[0].device), (KEPT, f"d{10 * KEPT - 1}"))


class ReaderTests(SynchronousTestCase):
    def test_the_language_is_that_of_the_address_then_of_the_browser_then_of_the_log(self) -> None:
        for asked, accepted, default, language in (
            ("en", "zh-CN,zh;q=0.9", "zh", "en"),
            ("zh-Hant", "", "en", "zh"),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", "en", "zh"),
            ("", "de, en;q=0.5, zh;q=0.7", "en", "zh"),
            ("", "en;q=0, fr", "zh", "zh"),
            ("", "en;q=x, ;;,", "zh", "zh"),
            ("fr", "", "en", "en"),
            ("\0", "*", "zh", "zh"),
            ("", "en;q=1.0;x=y", "zh", "zh"),
        ):
            self.assertEqual(language_of(asked, accepted, default), language, (asked, accepted))

    @given(st.text(max_size=30), st.text(), st.sampled_from(LANGUAGES))
    def test_there_is_always_one(self, asked: str, accepted: str, default: str) -> None:
        self.assertIn(language_of(asked, accepted, default), LANGUAGES)

    def test_times_are_by_the_clock_of_the_table(self) -> None:
        reader = Reader("en", ZONE, NOON)
        self.assertEqual(reader.clock(NOON), "16:00:00")
        self.assertEqual(reader.clock(NOON - 86400), "2027-01-14 16:00:00")
        self.assertEqual((reader.ago(NOON - 125), reader.ago(NOON + 5)), ("2 min 5 s ago", "just now"))

    def test_each_text_has_the_same_fields_in_both_languages(self) -> None:
        texts = [text for text in vars(words).values() if isinstance(text, Bilingual)]
        self.assertGreater(len(texts), 80)
        for text in texts:
            fields = [sorted(re.findall(r"\{(\w+)\}", each)) for each in (text[:], text.chinese)]
            self.assertEqual(fields[0], fields[1], text)


class ChartTests(SynchronousTestCase):
    def drawn(self, rates: Sequence[tuple[int, float, float]], now: float) -> str:
        counters = Counters()
        history = History(counters)
        for at, received, stored in rates:
            history.look(at)
            counters.received += int(received)
            counters.stored += int(stored)
            history.look(at + 1)
        moment = take(some_figures(), Beside(), history, Flips(), Remembered(), now=now)
        return "".join(chart(moment, Reader("en", ZONE, NOON), moment.short, 1, SHORT))

    def test_the_picture_has_a_twin_in_words(self) -> None:
        html = self.drawn([(100, 1000, 400), (101, 3000, 700)], 102.4)
        self.assertIn("the most received in 10 minutes was 3,000 (15:59:59)", html)
        self.assertIn('aria-hidden="true"', html)

    def test_a_gap_is_no_line(self) -> None:
        html = self.drawn([(100, 10, 10), (101, 10, 10), (150, 10, 10), (151, 10, 10)], 152.0)
        line = re.search(r'class="received" d="([^"]*)"', html)
        assert line is not None
        self.assertEqual((line.group(1).count("M"), line.group(1).count("L")), (2, 2))

    def test_nothing_is_drawn_of_nothing(self) -> None:
        self.assertIn("nothing to draw", self.drawn([], 10.0))


class DevicesTests(SynchronousTestCase):
    def test_why_nobody_is_judged_is_told_unless_it_is_so_for_a_moment(self) -> None:
        for presence, said in (
            (PresenceFigures(), words.JUDGING_OFF),
            (PresenceFigures(True, True, is_judging=True), None),
            (PresenceFigures(True, True), words.NOT_JUDGED),
            (PresenceFigures(True, not_listening_for=1.0), None),
            (PresenceFigures(True, not_listening_for=10.0), words.NOT_HEARING),
        ):
            figures = some_figures(presence=presence)
            moment = take(figures, Beside(), History(Counters()), Flips(), Remembered(), now=0.0)
            text = devices(moment, Reader("en", ZONE, NOON))
            for hint in (words.JUDGING_OFF, words.NOT_JUDGED, words.NOT_HEARING):
                self.assertEqual(hint in text, hint is said, presence)


class PageCase(SynchronousTestCase):
    """A site with a page, asked as bytes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(5000)
        self.figures = some_figures()
        self.counters = self.figures.counters
        self.history = History(self.counters)
        self.flips = Flips(lambda: NOON)
        self.refusals = Refusals(self.counters, self.clock)
        self.takes = 0
        self.asked: list[str] = []
        self.is_facts_broken = False
        self.looks = Looks(self.take, ZONE, self.clock)
        self.live = Live(self.looks.shown, self.clock)
        self.live.startService()

    def take(self) -> Moment:
        self.takes += 1
        figures = replace(self.figures, time=NOON + self.clock.seconds() - 5000)
        now = self.clock.seconds()
        return take(
            figures,
            Beside(past=Past(NOON - 3600), devices=(3, 5)),
            self.history,
            self.flips,
            self.refusals.remembered,
            now=now,
        )

    async def facts(self, uuid: str) -> DeviceFacts:
        self.asked.append(uuid)
        if self.is_facts_broken:
            raise ZeroDivisionError
        return DeviceFacts(uuid, NOON, NOON - 60, row=Row(uuid, True, NOON - 5, status=HOSTILE), heard_at=NOON - 4)

    def connect(self, path: str, *headers: str, peer: str = HERE, token: str = "",
                method: str = "GET") -> tuple[HTTPChannel, StringTransport]:  # fmt: skip
        resources = page_resources(self.looks, self.live, self.facts, token=token, language="zh")
        site = health_site(lambda: self.figures, Beside, tuple, open_to_all=resources, token=token)
        address = IPv4Address("TCP", peer, 5)
        protocol, transport = site.buildProtocol(address), StringTransport(peerAddress=address)
        protocol.makeConnection(transport)
        lines = [f"{method} {path} HTTP/1.1", "Host: 10.1.2.3", *headers, "", ""]
        protocol.dataReceived("\r\n".join(lines).encode("utf-8", "surrogateescape"))
        return protocol, transport

    def ask(self, path: str, *headers: str, **options: str) -> tuple[int, str]:
        protocol, transport = self.connect(path, *headers, "Connection: close", **options)
        protocol.connectionLost(Failure(ConnectionDone()))
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.headers = head.decode().lower()
        return int(head.split()[1]), body.decode()


class PageTests(PageCase):
    def test_it_is_whole_and_sound_at_first_and_nothing_is_from_outside_or_inline(self) -> None:
        code, html = self.ask("/")
        self.assertEqual(code, 200)
        outline = Outline(html)
        self.assertTrue(outline.is_nested)
        self.assertEqual(len(outline.ids()), len(set(outline.ids())))
        for name, attributes in outline.elements:
            self.assertFalse([each for each in attributes if each.startswith("on") or each == "style"], name)
            for each in ("src", "href", "action"):
                self.assertTrue((attributes.get(each) or "/").startswith(("/", "#")), attributes)
        self.assertEqual([attributes for name, attributes in outline.elements if name == "script"],
                         [{"src": "/page.js", "defer": None}])  # fmt: skip
        self.assertEqual(outline.names & {"style", "iframe", "object", "base"}, set())
        self.assertIn("default-src 'none'; style-src 'self'; script-src 'self'", self.headers)
        for each in ("frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "nosniff", "no-store"):
            self.assertIn(each, self.headers)
        self.assertNotIn("unsafe", self.headers)
        for each in ("正常", "broker:1883", "database:3306/aiot", "在线", "Asia/Shanghai", "✔ 相等"):
            self.assertIn(each, html)
        roles = [attributes.get("role") for _, attributes in outline.elements]
        self.assertEqual(roles.count("status"), 1)
        self.assertTrue({"header", "main", "footer", "nav", "h1", "table", "caption"} <= outline.names)
        self.assertIn(("meta", {"http-equiv": "refresh", "content": "5"}), outline.elements)

    def test_what_it_is_made_of_is_there(self) -> None:
        for path, kind in (("/page.css", "text/css"), ("/page.js", "text/javascript"),
                           *((f"/icon-{state.value}.svg", "image/svg+xml") for state in State),):  # fmt: skip
            code, body = self.ask(path)
            self.assertEqual((code, bool(body)), (200, True), path)
            self.assertIn(f"content-type: {kind}", self.headers)
        self.assertIn("<svg", icon("ok"))
        for each in re.findall(r"url\(|@import|https?:", self.ask("/page.css")[1]):
            self.fail(each)
        self.assertEqual(self.ask("/icon-other.svg")[0], 404)
        self.assertEqual(self.ask("/", method="POST")[0], 405)

    def test_the_language_is_right_to_the_attribute(self) -> None:
        for headers, path, lang, word in (
            ((), "/", "zh-CN", "正常"),
            (("Accept-Language: \udcff\udcfe", "Authorization: Basic \udcff"), "/", "zh-CN", "正常"),
            (("Accept-Language: en-GB",), "/", "en", "OK"),
            (("Accept-Language: en-GB",), "/?lang=zh", "zh-CN", "正常"),
        ):
            html = self.ask(path, *headers)[1]
            self.assertIn(f'<html lang="{lang}"', html)
            self.assertIn(f"<h1>{word}</h1>", html)
        self.assertFalse(re.findall(r"[\u4e00-\u9fff]+", self.ask("/?lang=en")[1].replace("中文", "")))

    def test_whatever_devices_send_is_shown_and_is_nothing_else(self) -> None:
        self.refusals.refuse("bad_json", f"devices/{HOSTILE}/data", HOSTILE, HOSTILE.encode() * 100)
        self.refusals.refuse("bad_topic", "x", HOSTILE, b"\xff\xfe\x00<b>")
        self.refusals.unknown_device(HOSTILE * 50)
        self.refusals.refused_by_table(HOSTILE, None, HOSTILE, 1)
        self.flips.went_silent([HOSTILE * 10])
        self.figures = some_figures(counters=self.counters, unknown_uuids=1,
                                    database=DatabaseFigures(HOSTILE, trouble=Trouble(HOSTILE, 5.0)))  # fmt: skip
        for path in ("/?lang=en", f"/?lang=en&uuid={quote(HOSTILE)}"):
            code, html = self.ask(path)
            self.assertEqual(code, 200)
            self.assertEqual([each for each in html if not each.isprintable()], ["\n"])
            outline = Outline(html)
            self.assertTrue(outline.is_nested)
            self.assertEqual((outline.names & {"img", "b"}, html.count("<script")), (set(), 1))
            self.assertLess(len(html), 100_000)
            self.assertIn("\\u202egnp.", html)
            self.assertIn("&lt;script&gt;", html)

    def test_a_device_that_cannot_be_asked_about_leaves_the_rest_of_the_page(self) -> None:
        self.is_facts_broken = True
        code, html = self.ask("/?lang=en&uuid=d1")
        self.assertEqual((code, "a fault of ours" in html, "broker:1883" in html), (500, True, True))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_refusal_of_each_reason_is_there_with_its_newest(self) -> None:
        for number in range(3):
            self.refusals.refuse("bad_json", f"devices/d{number}/data", "no JSON", f"p{number}".encode())
        self.refusals.refuse("foreign", "other", "no topic of ours", b"")
        html = self.ask("/?lang=en")[1]
        self.assertIn("<pre><bdi>p2</bdi></pre>", html)
        self.assertNotIn("p1", html)
        self.assertIn('href="/?lang=en&amp;uuid=d2#why-head"', html)

    def test_the_sum_says_when_it_does_not_add_up(self) -> None:
        self.assertIn("✔ equal", self.ask("/?lang=en")[1])
        self.counters.received += 3
        self.clock.advance(2)
        self.assertIn("✖ 3 too many", self.ask("/?lang=en")[1])

    def test_the_first_place_that_is_not_well_is_the_cause(self) -> None:
        away = Trouble(Bilingual("refused", "拒绝"), 724.0, 14.0)
        self.figures = some_figures(
            database=DatabaseFigures("db", trouble=away), spool=SpoolFigures(True, devices=4812)
        )
        html = self.ask("/?lang=en")[1]
        self.assertIn('data-state="protected"', html)
        self.assertEqual(html.count('class="cause"'), 1)
        self.assertIn("away for 12 min 4 s", html)
        self.assertIn("next attempt in 14 s", html)
        self.assertIn("icon-protected.svg", html)


class AccessTests(PageCase):
    def basic(self, password: str) -> str:
        return f"Authorization: Basic {b64encode(f'me:{password}'.encode()).decode()}"

    def test_devices_are_shown_to_whom_they_are_and_the_rest_to_all(self) -> None:
        self.flips.went_silent(["sensor-9"])
        self.refusals.unknown_device("knocks-1")
        self.refusals.refuse("bad_json", "devices/sensor-4/data", "bad", b"payload-4")
        for peer, token, headers, path, code, shows in (
            (HERE, "", (), "/", 200, True),
            (HERE, "", (), "/?uuid=sensor-1", 200, True),
            (ELSEWHERE, "", (), "/", 200, False),
            (ELSEWHERE, "", (), "/?devices", 403, False),
            (ELSEWHERE, "", (), "/?uuid=sensor-1", 403, False),
            (HERE, TOKEN, (), "/", 200, False),
            (ELSEWHERE, TOKEN, (), "/", 200, False),
            (ELSEWHERE, TOKEN, (), "/?devices", 401, False),
            (ELSEWHERE, TOKEN, (), "/?uuid=sensor-1", 401, False),
            (ELSEWHERE, TOKEN, (self.basic("no"),), "/?devices", 401, False),
            (ELSEWHERE, TOKEN, (self.basic(TOKEN),), "/", 200, True),
            (ELSEWHERE, TOKEN, (self.basic(TOKEN),), "/?devices", 200, True),
            (ELSEWHERE, TOKEN, (f"Authorization: Bearer {TOKEN}",), "/?uuid=sensor-1", 200, True),
        ):
            with self.subTest(peer=peer, path=path, headers=headers):
                self.asked.clear()
                given, html = self.ask(path, *headers, peer=peer, token=token)
                self.assertEqual(given, code)
                self.assertIn("正常", html)
                for name in ("sensor-9", "knocks-1", "sensor-4", "payload-4"):
                    self.assertEqual(name in html, shows, name)
                self.assertEqual(bool(self.asked), shows and "uuid" in path)
                self.assertEqual('basic realm="aiot-mqtt"' in self.headers, code == 401)
                self.assertEqual("/?lang=zh&amp;devices=" in html and "登录" in html, not shows and bool(token))

    def test_streams_follow_the_same_rule(self) -> None:
        for path, headers, code in (
            ("/events", (), 200),
            ("/events?devices", (), 401),
            ("/events?devices", (self.basic(TOKEN),), 200),
            ("/events", ("Sec-Fetch-Site: same-origin",), 200),
            ("/events", ("Sec-Fetch-Site: cross-site",), 403),
            ("/events", ("Sec-Fetch-Site: same-site",), 403),
        ):
            given, text = self.ask(path, *headers, peer=ELSEWHERE, token=TOKEN)
            self.assertEqual(given, code, path)
            if code == 200:
                self.assertEqual("strangers" in text, "devices" in path)
        self.assertEqual(self.live.viewers, 0)

    def test_names_of_elsewhere_are_refused_here_too(self) -> None:
        for path in ("/", "/events", "/page.js"):
            protocol, transport = self.connect(path)
            transport.clear()
            protocol.dataReceived(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
            protocol.connectionLost(Failure(ConnectionDone()))
            self.assertNotIn(b" 200 ", transport.value()[:20])


class LiveTests(PageCase):
    def messages(self, transport: StringTransport) -> list[dict[str, Any]]:
        """What came since it was last looked."""
        text = transport.value().decode()
        transport.clear()
        return [json.loads(found) for found in re.findall(r"data: (.*)\n", text)]

    def watch(self, path: str = "/events?lang=en") -> tuple[HTTPChannel, StringTransport]:
        return self.connect(path, peer=HERE)

    def test_the_first_word_is_all_and_then_what_has_changed(self) -> None:
        _, transport = self.watch("/events?lang=en&devices")
        head = transport.value().decode().lower()
        self.assertIn("text/event-stream", head)
        first = self.messages(transport)[0]
        self.assertEqual(first["state"], "ok")
        self.assertIn("flips", first["parts"])
        self.clock.advance(1)
        (second,) = self.messages(transport)
        self.assertIn("clock", second["parts"])
        self.assertNotIn("sum", second["parts"])
        self.figures = some_figures(broker=BrokerFigures("broker"))
        self.clock.advance(1)
        (third,) = self.messages(transport)
        self.assertEqual(third["state"], "fault")
        self.assertIn("bar", third["parts"])

    def test_one_look_a_second_serves_all_and_none_is_taken_for_nobody(self) -> None:
        self.assertFalse(self.clock.getDelayedCalls())
        protocols = [
            self.watch(path)[0] for path in ("/events?lang=en", "/events?lang=zh", "/events?lang=en&devices") * 5
        ]
        self.takes = 0
        for _ in range(10):
            self.clock.advance(LOOK_INTERVAL)
        self.assertEqual((self.takes, self.live.viewers), (10, 15))
        for protocol in protocols:
            protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.live.viewers, 0)
        self.assertFalse(self.clock.getDelayedCalls())
        self.clock.advance(100)
        self.assertEqual(self.takes, 10)

    def test_no_more_than_so_many_watch_and_the_next_is_told(self) -> None:
        watching = [self.watch() for _ in range(MAX_VIEWERS)]
        code, text = self.ask("/events?lang=en")
        self.assertEqual((code, f"{MAX_VIEWERS} viewers" in text), (503, True))
        watching[0][0].connectionLost(Failure(ConnectionDone()))
        self.watch()
        self.assertEqual(self.live.viewers, MAX_VIEWERS)

    def test_who_does_not_read_gets_nothing_more_and_is_let_go(self) -> None:
        _, slow = self.watch()
        _, other = self.watch()
        assert slow.producer is not None
        slow.producer.pauseProducing()
        slow.clear()
        for _ in range(int(NOT_READING / LOOK_INTERVAL) - 1):
            self.clock.advance(LOOK_INTERVAL)
        self.assertEqual((slow.value(), self.live.viewers), (b"", 2))
        slow.producer.resumeProducing()
        self.clock.advance(LOOK_INTERVAL)
        self.assertTrue(self.messages(slow))
        slow.producer.pauseProducing()
        slow.clear()
        for _ in range(int(NOT_READING / LOOK_INTERVAL)):
            self.clock.advance(LOOK_INTERVAL)
        self.assertEqual((slow.value(), self.live.viewers, slow.disconnected), (b"", 1, True))
        self.assertTrue(self.messages(other))

    def test_who_was_away_for_a_while_gets_what_has_changed_meanwhile(self) -> None:
        _, transport = self.watch()
        assert transport.producer is not None
        transport.producer.pauseProducing()
        self.counters.received += 1
        self.clock.advance(LOOK_INTERVAL)
        transport.clear()
        transport.producer.resumeProducing()
        self.clock.advance(LOOK_INTERVAL)
        (message,) = self.messages(transport)
        self.assertIn("sum", message["parts"])

    def test_all_end_when_the_service_does(self) -> None:
        transports = [self.watch()[1] for _ in range(3)]
        self.live.stopService()
        self.assertTrue(all(transport.disconnected for transport in transports))
        self.assertEqual(self.live.viewers, 0)
        self.assertEqual(self.ask("/events")[0], 503)

    def test_a_look_that_fails_ends_the_streams_and_is_told_once(self) -> None:
        live = Live(self.broken, self.clock)
        live.startService()
        self.live, self.is_broken = live, False
        _, transport = self.watch()
        self.is_broken = True
        self.clock.advance(LOOK_INTERVAL)
        self.assertTrue(transport.disconnected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def broken(self, view: View) -> Shown:
        if self.is_broken:
            raise ZeroDivisionError
        return self.looks.shown(view)
