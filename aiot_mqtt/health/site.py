"""What is answered on ``HTTP_LISTEN``: read-only, and computed when it is asked for.

- ``/healthz``: the reactor turns, or this would not answer. Never looks at broker, database or disk, because a restart
  does not mend those.
- ``/readyz``: the verdict as JSON; 200, or 503 in a fault.
- ``/metrics``: for Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address
from socket import gethostname
from typing import Any

from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from .figures import Figures
from .metrics import CONTENT_TYPE, exposition
from .state import Verdict, judge

JSON = "application/json; charset=utf-8"
ALIVE = b"ok\n"
TEXT = "text/plain; charset=utf-8"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
MAX_REQUEST_TIME = 30  # s that a connection may be idle

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


def health_site(figures: Callable[[], Figures]) -> Site:
    """The whole site.

    :param figures: takes one moment of the service.
    """

    def healthz() -> Answer:
        return http.OK, TEXT, ALIVE

    def readyz() -> Answer:
        verdict = judge(figures())
        body = json.dumps(as_json(verdict), ensure_ascii=False) + "\n"
        return http.OK if verdict.is_ready else http.SERVICE_UNAVAILABLE, JSON, body.encode()

    def metrics() -> Answer:
        return http.OK, CONTENT_TYPE, exposition(figures())

    root = Resource()
    for path, answer in ((b"healthz", healthz), (b"readyz", readyz), (b"metrics", metrics)):
        root.putChild(path, _Answering(answer))
    site = Site(root, timeout=MAX_REQUEST_TIME)
    site.noisy = False
    return site


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict in the form that ``/readyz`` and ``aiot-mqtt status --json`` keep stable."""
    return {
        "ready": verdict.is_ready,
        "state": verdict.state.value,
        "sentence": {"en": str(verdict.sentence), "zh": verdict.sentence.chinese},
        "conditions": [
            {"id": each.id, "ok": each.is_met, "reason": {"en": str(each.reason), "zh": each.reason.chinese}}
            for each in verdict.conditions
        ],
    }


class _Answering(Resource):
    """Answers GET and HEAD, for those who came by a name of this host."""

    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, answer: Callable[[], Answer]) -> None:
        super().__init__()
        self._answer = answer

    def render_GET(self, request: IRequest) -> bytes:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        host = request.getRequestHostname().decode("ascii", "replace")
        status, content_type, body = (
            self._answer() if is_own_name(host) else (http.BAD_REQUEST, TEXT, b"unexpected Host\n")
        )
        request.setResponseCode(status)
        for name, value in {**HEADERS, "Content-Type": content_type}.items():
            request.setHeader(name.encode(), value.encode())
        return body


def is_own_name(host: str) -> bool:
    """Whether a Host header names this host.

    A page from elsewhere whose name was made to resolve to this host (DNS rebinding) comes with a name of its own.
    """
    if host.lower() in ("localhost", gethostname().lower()):
        return True
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
