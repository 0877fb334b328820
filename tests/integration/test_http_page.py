"""The page as bytes over real sockets: what comes without JavaScript, and what the streams survive."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from base64 import b64encode
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from aiot_mqtt.health import site as health_site
from aiot_mqtt.page import live as live_module
from aiot_mqtt.page.live import Live, Shown, View
from rig import load
from rig.programs import LINE_TIMEOUT
from rig.stage import Stage, answered
from tests.eventually import eventually

UUIDS = [f"d{number}" for number in range(20)]
TOKEN = "s3cret-Token"
HOSTILE = "\"'><script>alert(1)</script>\u202egnp\x1b[2J<img src=x onerror=alert(2)>"
TOPIC = "\"'><script>alert(3)<\u202egnp<img src=x onerror=alert(4)>"
SILENCE = 20.0  # s in which a stream says something, on a busy machine


class Stream:
    """A viewer that runs no JavaScript and reads what comes."""

    def __init__(self, port: int, query: str = "lang=en&devices", headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE)
        self._connection.request("GET", f"/events?{query}", headers=headers or {})
        self.response = self._connection.getresponse()

    def __next__(self) -> dict[str, Any]:
        while not (line := self.response.readline()).startswith(b"data: "):
            if not line:
                raise StopIteration
        told: dict[str, Any] = json.loads(line[6:])
        return told

    def until(self, state: str) -> dict[str, Any]:
        """The first word with this state, and what was told before it; each part as it was last."""
        parts: dict[str, str] = {}
        deadline = time.monotonic() + LINE_TIMEOUT
        while True:
            told = next(self)
            parts |= told["parts"]
            if told["state"] == state:
                return {**told, "parts": parts}
            assert time.monotonic() < deadline, told

    def close(self) -> None:
        self.response.close()
        self._connection.close()


class HttpPageTests(SynchronousTestCase):
    def set_stage(self, **settings: str) -> Stage:
        stage = Stage(UUIDS, {"LOG_LANGUAGE": "en", **settings})
        self.addCleanup(stage.close)
        self.port = stage.port
        return stage

    def ask(self, path: str, **headers: str) -> tuple[int, str]:
        return answered(self.port, path, headers)

    def page_with(self, *texts: str, path: str = "/?lang=en") -> str:
        """The page, once all of this is on it."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while True:
            code, html = self.ask(path)
            self.assertEqual(code, 200)
            missing = [text for text in texts if text not in html]
            if not missing:
                return html
            self.assertLess(time.monotonic(), deadline, (missing, html))
            time.sleep(0.05)

    def stream(self, *arguments: Any) -> Stream:
        stream = Stream(self.port, *arguments)
        self.addCleanup(stream.close)
        return stream

    def test_the_first_answer_tells_all_and_a_stream_goes_on_through_an_outage_and_its_end(self) -> None:
        stage = self.set_stage(HEARTBEAT_TIMEOUT="600")
        stage.until("ok")
        load.publish(
            stage.broker.port,
            [
                ("devices/d1/data", '{"a": 1}'),
                ("devices/d2/status", "offline"),
                ("devices/d3/data", HOSTILE),
                (f"devices/{TOPIC}/data", "{}"),
                ("devices/knocks-1/data", "{}"),
            ],
        )
        html = self.page_with('data-state="ok"', "knocks-1", "▼ offline", "not JSON", "<dt>online</dt>")
        self.assertIn("&lt;img src=x onerror=alert(2)&gt;", html)
        self.assertIn("\\u202egnp", html)
        self.assertEqual((html.count("<script"), "<img" in html), (1, False))
        self.assertIn("d1 is online: a message came", self.page_with("d1 is online", path="/?lang=en&uuid=d1"))
        odd = self.page_with("can be no device", path=f"/?lang=en&uuid={quote(HOSTILE)}")
        self.assertEqual(odd.count("<script"), 1)
        stream = self.stream()
        self.assertIn("knocks-1", next(stream)["parts"]["strangers"])
        stage.database.stop()
        stage.publish()
        told = stream.until("protected")
        self.assertIn("nothing is lost", told["parts"]["bar"])
        self.assertIn("🛡", told["title"])
        self.assertIn("protected", self.ask("/?lang=en")[1])
        stage.database.start()
        self.assertIn("All is well", stream.until("ok")["parts"]["bar"])
        self.page_with("✔ equal")
        # Who knocks last is seen last, without another request.
        load.publish(stage.broker.port, [("devices/knocks-2/data", "{}")])
        deadline = time.monotonic() + LINE_TIMEOUT
        while "knocks-2" not in next(stream)["parts"].get("strangers", ""):
            self.assertLess(time.monotonic(), deadline)

    def test_the_token_is_asked_for_and_streams_end_at_once_with_the_service(self) -> None:
        stage = self.set_stage(HTTP_TOKEN=TOKEN, SHUTDOWN_TIMEOUT="30")
        stage.until("ok")
        load.publish(stage.broker.port, [("devices/knocks-1/data", "{}")])
        basic = {"Authorization": f"Basic {b64encode(f'me:{TOKEN}'.encode()).decode()}"}
        deadline = time.monotonic() + LINE_TIMEOUT
        while "knocks-1" not in self.ask("/?lang=en", **basic)[1]:
            self.assertLess(time.monotonic(), deadline)
        code, html = self.ask("/?lang=en")
        self.assertEqual((code, "knocks-1" in html, "Log in" in html), (200, False, True))
        self.assertEqual(self.ask("/?lang=en&devices")[0], 401)
        self.assertEqual(self.stream("lang=en&devices").response.status, 401)
        self.assertNotIn("strangers", next(self.stream("lang=en"))["parts"])
        streams = [self.stream("lang=en&devices", basic) for _ in range(10)]
        for stream in streams:
            self.assertIn("knocks-1", next(stream)["parts"]["strangers"])
        silent = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(10)]
        for each in silent:
            self.addCleanup(each.close)
            each.sendall(b"GET /events?lang=en HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stage.service.process.send_signal(signal.SIGTERM)
        for stream in streams:
            with self.assertRaises((StopIteration, OSError, http.client.HTTPException)):
                while True:
                    next(stream)
        self.assertIn(stage.service.wait(), (0, -signal.SIGTERM))  # twistd ends by the signal that it got
        self.assertFalse([line for line in stage.service.lines if "Traceback" in line])


class Reading(Protocol):
    """Reads, until it is told to stop."""

    def __init__(self) -> None:
        self.read = 0
        self.is_lost = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def dataReceived(self, data: bytes) -> None:
        self.read += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True


class Events(Resource):
    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, live: Live) -> None:
        super().__init__()
        self.live = live

    def render_GET(self, request: Any) -> int:
        self.live.add(request, View("en", True))
        return 1


class ViewerTests(TestCase):
    """Streams on real sockets of this process, with times of its own."""

    async def open(self, size: int) -> None:
        self.patch(live_module, "LOOK_INTERVAL", 0.02)
        self.patch(live_module, "NOT_READING", 1.0)
        self.looks = 0

        def look(_view: View) -> Shown:
            self.looks += 1
            return Shown("ok", "t", "s", {"part": f"{self.looks} " * size})

        self.live = Live(look, reactor)
        self.live.startService()
        site = Site(Events(self.live), timeout=1)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[arg-type]
        self.addCleanup(port.stopListening)
        self.addCleanup(self.live.stopService)
        here: Any = port.getHost()
        self.port = here.port

    def viewer(self) -> Reading:
        viewer = Reading()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        endpoint.connect(Factory.forProtocol(lambda: viewer)).addErrback(self.fail)
        return viewer

    def test_who_never_reads_is_let_go_without_a_heap_of_what_he_did_not_read(self) -> Any:
        return ensureDeferred(self.never_reads())

    async def never_reads(self) -> None:
        await self.open(20_000)
        viewer, other = self.viewer(), self.viewer()
        await eventually(lambda: viewer.read and other.read)
        viewer.transport.pauseProducing()  # type: ignore[union-attr]
        here: Any = viewer.transport.getHost()  # type: ignore[union-attr]
        (held,) = (each for each in self.live._viewers if each.request.getClientAddress().port == here.port)
        most = 0

        def is_gone() -> bool:
            nonlocal most
            if held.request.transport is not None:
                transport: Any = held.request.transport
                most = max(most, len(transport.dataBuffer) + transport._tempDataLen)
            return self.live.viewers == 1

        await eventually(is_gone)
        self.assertLess(most, 1_000_000)  # a word of about 100 KB, and what Twisted takes before it says stop
        looks = self.looks
        await eventually(lambda: self.looks > looks + 5)
        self.assertFalse(other.is_lost)
        other.transport.loseConnection()  # type: ignore[union-attr]
        viewer.transport.abortConnection()  # type: ignore[union-attr]
        await eventually(lambda: not self.live.viewers)
        looks = self.looks
        await eventually(lambda: viewer.is_lost and other.is_lost)
        self.assertEqual(self.looks, looks)

    def test_the_time_of_a_request_does_not_cut_a_stream(self) -> Any:
        return ensureDeferred(self.long_stream())

    async def long_stream(self) -> None:
        await self.open(1)
        self.assertGreater(health_site.MAX_REQUEST_TIME, 1)
        viewer = self.viewer()
        began = time.monotonic()
        await eventually(lambda: time.monotonic() - began > 2.5)
        self.assertEqual((viewer.is_lost, self.live.viewers), (False, 1))
        viewer.transport.loseConnection()  # type: ignore[union-attr]
        await eventually(lambda: not self.live.viewers)
