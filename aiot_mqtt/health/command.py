"""``aiot-mqtt status`` and ``aiot-mqtt health``: what the running service says, over ``HTTP_LISTEN``."""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TextIO

from ..telemetry.printable import printable
from .site import ALIVE
from .state import State

TIMEOUT = 5.0  # s
WATCH_INTERVAL = 1.0  # s
EXIT_CODES = {State.OK.value: 0, State.PROTECTED.value: 0, State.LOOK.value: 1, State.FAULT.value: 2}
EXIT_UNKNOWN = 2
WORDS = {state.value: {"en": str(state.word), "zh": state.word.chinese} for state in State}
ICONS = {State.OK.value: "✅", State.PROTECTED.value: "🛡", State.LOOK.value: "⚠️", State.FAULT.value: "❌"}


class NotRunning(Exception):
    """Nobody answers on ``HTTP_LISTEN``; the text says where, and why."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``aiot-mqtt status``."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object and nothing else")
    parser.add_argument("--watch", action="store_true", help="print it anew each second until interrupted")


def show_status(
    address: tuple[str, int], language: str, *, as_json: bool, watch: bool, output: TextIO, is_terminal: bool
) -> int:
    """Print what the service says; returns the exit code: 0 OK or Protected, 1 Look, 2 Fault or not running."""
    while True:
        try:
            status = ask(address, "/readyz")
        except NotRunning as error:
            code, text = EXIT_UNKNOWN, _not_running(error, language, as_json=as_json)
        else:
            code = EXIT_CODES[status["state"]]
            text = json.dumps(status, ensure_ascii=False) if as_json else in_words(status, language)
        output.write(("\x1b[H\x1b[2J" if watch and is_terminal and not as_json else "") + text + "\n")
        output.flush()
        if not watch or not is_terminal:
            return code
        time.sleep(WATCH_INTERVAL)


def is_alive(address: tuple[str, int]) -> bool:
    """Whether the service makes progress."""
    try:
        return _fetch(address, "/healthz") == ALIVE
    except NotRunning:
        return False


def ask(address: tuple[str, int], path: str) -> dict[str, Any]:
    """The JSON object at a path.

    :raises NotRunning: nobody answers, or it is none of ours.
    """
    return fetch_json(address, path, "", "state", "sentence", "conditions")


def fetch_json(address: tuple[str, int], path: str, token: str, *members: str) -> dict[str, Any]:
    """The JSON object at a path.

    :param token: ``HTTP_TOKEN``. :param members: that ours would have.
    :raises NotRunning: nobody answers, or not as ours would.
    """
    body = _fetch(address, path, token)
    try:
        answer = dict(json.loads(body))
    except (ValueError, TypeError):
        answer = {}
    if not all(member in answer for member in members):
        said = printable(body.decode("utf-8", "replace").strip(), 100)
        raise NotRunning(f"{_url(address, path.partition('?')[0])}: {said}")
    return answer


def in_words(status: dict[str, Any], language: str) -> str:
    """The sentence, and a line for each condition."""
    colon = "：" if language == "zh" else ": "
    state = status["state"]
    lines = [f"{ICONS[state]} {WORDS[state][language]}{colon}{status['sentence'][language]}"]
    lines += [
        f"  {'✅' if each['ok'] else '❌'} {each['id']:<10} {each['reason'][language]}" for each in status["conditions"]
    ]
    return "\n".join(lines)


def _not_running(error: NotRunning, language: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"ready": False, "state": "unknown", "reason": str(error)})
    before = (
        "❌ 服务没有运行，或 HTTP_LISTEN 不同"
        if language == "zh"
        else "❌ The service does not run, or HTTP_LISTEN differs"
    )
    return f"{before}: {error}"


def _fetch(address: tuple[str, int], path: str, token: str = "") -> bytes:
    opener: Callable[..., Any] = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    url = _url(address, path)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310 it is http
    try:
        with opener(request, timeout=TIMEOUT) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:  # 503 has the verdict in it
        with error:
            return bytes(error.read())
    except (OSError, HTTPException) as error:  # the latter from who speaks no HTTP
        raise NotRunning(f"{url}: {getattr(error, 'reason', error)}") from None


def _url(address: tuple[str, int], path: str) -> str:
    host, port = address
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 what listens everywhere is here, too
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
