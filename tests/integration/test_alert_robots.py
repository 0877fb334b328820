"""contrib/alert-*: what they send to a robot, whose signature is checked as its vendor documents it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.alert_command import ENVIRONMENT, alert_text, as_line

ROOT = Path(__file__).resolve().parents[2]
SECRET = "SECabc/+=\\'$HOME `id` 9"
SENTENCE = "故障：\"引号\" '单引号' \\反斜杠 $HOME `id` %s\n第二行\t制表符"
WINDOW = 3600.0  # s by which a robot's clock may differ


def signature(key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()


class Robots(BaseHTTPRequestHandler):
    """Answers as the three robots do, with status 200 whatever is wrong."""

    heard: list[str]

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = getattr(self, url.path.strip("/"))(query, body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def dingtalk(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        now = query.get("timestamp", "0")
        if abs(time.time() - int(now) / 1000) > WINDOW or query["sign"] != signature(SECRET, f"{now}\n{SECRET}"):
            return {"errcode": 310000, "errmsg": "sign not match"}
        return self.wecom(query, body)

    def wecom(self, query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if query.get("key", query.get("access_token")) != "k1" or body["msgtype"] != "text":
            return {"errcode": 93000, "errmsg": "invalid webhook url"}
        self.heard.append(body["text"]["content"])
        return {"errcode": 0, "errmsg": "ok"}

    def feishu(self, _query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        now = body.get("timestamp", "0")
        if abs(time.time() - int(now)) > WINDOW or body["sign"] != signature(f"{now}\n{SECRET}", ""):
            return {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}
        self.heard.append(body["content"]["text"])
        return {"code": 0, "msg": "success", "data": {}}

    def log_message(self, *_arguments: object) -> None:
        pass


class AlertRobotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.heard: list[str] = []
        handler = type("Handler", (Robots,), {"heard": self.heard})
        self.server = HTTPServer(("127.0.0.1", 0), handler)
        self.addCleanup(self.server.server_close)
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        status = {"state": "fault", "sentence": {"en": SENTENCE, "zh": SENTENCE}}
        self.text = alert_text(status, "gw", "zh")
        self.line = as_line({"text": self.text, **status, "host": "gw"})

    def run_script(self, name: str, query: str = "", secret: str | None = None) -> tuple[int, str]:
        file = Path(self.mktemp())
        port = self.server.server_address[1]
        url = f"http://127.0.0.1:{port}/{name.removeprefix('alert-')}{query}"
        file.write_text(url if secret is None else f"{url}\n{secret}\n", "utf-8")
        done = subprocess.run(
            [str(ROOT / "contrib" / name), str(file)],
            input=self.line.encode(),
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr.decode()

    def test_each_sends_the_text_as_it_is(self) -> None:
        for name, query, secret in (
            ("alert-dingtalk", "?access_token=k1", SECRET),
            ("alert-wecom", "?key=k1", None),
            ("alert-feishu", "", SECRET),
        ):
            self.assertEqual(self.run_script(name, query, secret), (0, ""), name)
            self.assertEqual(self.heard.pop(), self.text)
        self.assertIn(SENTENCE, self.text)
        self.assertIn("故障 gw", self.text)

    def test_a_robot_that_refuses_is_a_failure_with_its_words(self) -> None:
        for name, query, words in (
            ("alert-dingtalk", "?access_token=k1", "sign not match"),
            ("alert-wecom", "?key=other", "invalid webhook"),
            ("alert-feishu", "", "sign match fail"),
        ):
            code, said = self.run_script(name, query, "wrong")
            self.assertEqual(code, 1, name)
            self.assertIn(words, said)
        self.assertEqual(self.heard, [])

    def test_they_are_short(self) -> None:
        for path in (ROOT / "contrib").glob("alert-*"):
            self.assertLessEqual(len(path.read_text("utf-8").splitlines()), 20, path)
