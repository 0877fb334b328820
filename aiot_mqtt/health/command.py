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

from ..telemetry.bilingual import Bilingual
from ..telemetry.printable import printable
from .site import ALIVE
from .state import State
from .status_words import in_words

TIMEOUT = 5.0  # s
MAX_ANSWER = 16 * 1024 * 1024  # bytes that are read
SHOWN = 200  # characters of what another program says
WATCH_INTERVAL = 1.0  # s
EXIT_CODES = {State.OK.value: 0, State.PROTECTED.value: 0, State.LOOK.value: 1, State.FAULT.value: 2}
EXIT_UNKNOWN = 2
SENTENCE = "sentence"


class NotRunning(Exception):
    """Nobody answers on ``HTTP_LISTEN``; the text says where, and why."""

    is_there = False
    """Somebody listens there, and does not answer in time, or not as our service would answer us."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``aiot-mqtt status``."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object and nothing else")
    parser.add_argument("--watch", action="store_true", help="print it anew each second until interrupted")


def show_status(
    address: tuple[str, int],
    token: str,
    language: str,
    *,
    as_json: bool,
    watch: bool,
    output: TextIO,
) -> int:
    """Print what the service says; returns the exit code: 0 OK or Protected, 1 Look, 2 Fault.

    :param token: ``HTTP_TOKEN``.
    :raises NotRunning: nobody answers, and it is not to be watched for.
    """
    is_terminal = output.isatty()
    while True:
        try:
            status = ask_status(address, token)
        except NotRunning as error:
            if not watch or not is_terminal:
                raise
            text = not_running(error, [], language, as_json=as_json)
        else:
            text = (
                json.dumps(status, ensure_ascii=False)
                if as_json
                else in_words(status, language, is_watched=watch and is_terminal)
            )
        output.write(("\x1b[H\x1b[2J" if watch and is_terminal and not as_json else "") + text + "\n")
        output.flush()
        if not watch or not is_terminal:
            return EXIT_CODES.get(status["state"], EXIT_UNKNOWN)
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
    return fetch_json(address, path, "", "state", SENTENCE, "conditions")


def fetch_json(address: tuple[str, int], path: str, token: str, *members: str) -> dict[str, Any]:
    """The JSON object at a path.

    :param token: ``HTTP_TOKEN``. :param members: that ours would have; a sentence in both languages.
    :raises NotRunning: nobody answers, or not as ours would.
    """
    body = _fetch(address, path, token)
    try:
        answer = dict(json.loads(body))
        for member in members:
            answer[member]
        if SENTENCE in members:
            for language in ("en", "zh"):
                answer[SENTENCE][language].strip()
    except (AttributeError, ValueError, LookupError, TypeError):
        said = printable(body.decode("utf-8", "replace").strip(), 100)
        where = _url(address, path.partition("?")[0])
        failed = NotRunning(
            Bilingual(
                f"{where}: this is not what aiot-mqtt answers ({said})", f"{where}：不是 aiot-mqtt 的回答（{said}）"
            )
        )
        failed.is_there = True
        raise failed from None
    return answer


def ask_status(address: tuple[str, int], token: str) -> dict[str, Any]:
    """All that ``aiot-mqtt status`` shows, or, where that is not for who asks, what everybody may know.

    :raises NotRunning: nobody answers, or it is none of ours.
    """
    members = ("state", SENTENCE, "conditions")
    try:
        return fetch_json(address, "/status", token, *members, "sum")
    except NotRunning:
        return fetch_json(address, "/readyz", "", *members)


def not_running(error: NotRunning, alone: list[Bilingual], language: str, *, as_json: bool) -> str:
    """What is said where nobody answers. :param alone: what table and disk tell by themselves."""
    reason = error.args[0]
    if as_json:
        facts = [{"en": str(line), "zh": line.chinese} for line in alone]
        return json.dumps(
            {"ready": False, "state": "unknown", "reason": str(reason), "facts": facts}, ensure_ascii=False
        )
    is_chinese = language == "zh"
    what = Bilingual("The service does not run, or HTTP_LISTEN differs", "服务没有运行，或 HTTP_LISTEN 不同")
    if error.is_there:
        what = Bilingual(
            "The service hangs, or HTTP_LISTEN is another program's", "服务卡住，或 HTTP_LISTEN 是其他程序的"
        )
    lines = [f"❌ {what.chinese}：{reason.chinese}" if is_chinese else f"❌ {what}: {reason}"]
    return "\n".join([*lines, *(line.chinese if is_chinese else str(line) for line in alone)])


def _fetch(address: tuple[str, int], path: str, token: str = "") -> bytes:
    opener: Callable[..., Any] = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    url = _url(address, path)
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310 it is http
    try:
        try:
            response = opener(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:  # 503 has the verdict in it
            response = error
        with response:
            return bytes(response.read(MAX_ANSWER))
    except (OSError, HTTPException) as error:  # the latter from who speaks no HTTP
        reason = _reason(getattr(error, "reason", error))
        where = f"{_url(address, '')}"
        failed = NotRunning(Bilingual(f"{where}: {reason}", f"{where}：{reason.chinese}"))
        failed.is_there = isinstance(getattr(error, "reason", error), TimeoutError)
        raise failed from None


def _reason(error: object) -> Bilingual:
    if isinstance(error, ConnectionRefusedError):
        return Bilingual("nobody listens there", "没有程序在监听")
    if isinstance(error, TimeoutError):
        return Bilingual(f"no answer within {TIMEOUT:.0f} s", f"{TIMEOUT:.0f} 秒内没有应答")
    words = printable(getattr(error, "strerror", None) or str(error) or type(error).__name__, SHOWN)
    return Bilingual(words, words)


def _url(address: tuple[str, int], path: str) -> str:
    host, port = address
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 what listens everywhere is here, too
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
