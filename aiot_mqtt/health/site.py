"""What is answered on ``HTTP_LISTEN``: read-only, and computed when it is asked for.

- ``/healthz``: the service makes progress, or 503 and what does not. Whether broker, database and disk are well is not
  looked at, because a restart does not mend those.
- ``/readyz``: the verdict as JSON; 200, or 503 in a fault.
- ``/metrics``: for Prometheus.

These name no device. ``/status`` does, which is ``/readyz`` and more, for ``aiot-mqtt status``; what else does is put
beside them as ``showing_devices`` (see ``access``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.web import http
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Site

from .access import refusal
from .details import details
from .figures import Figures
from .metrics import CONTENT_TYPE, Beside, exposition
from .particulars import particulars
from .progress import Stalled
from .state import Verdict, judge

JSON = "application/json; charset=utf-8"
ALIVE = b"ok\n"
TEXT = "text/plain; charset=utf-8"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # an address of the page may name a device
    "X-Content-Type-Options": "nosniff",
}
MAX_REQUEST_TIME = 30  # s that a connection may be idle

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


def health_site(
    figures: Callable[[], Figures],
    beside: Callable[[], Beside],
    stalled: Callable[[], Sequence[Stalled]],
    *,
    showing_devices: Mapping[str, IResource] | None = None,
    open_to_all: Mapping[str, IResource] | None = None,
    telling_devices: Callable[[], Mapping[str, Any]] = dict,
    token: str = "",
) -> Site:
    """The whole site.

    :param figures: takes one moment of the service.
    :param beside: what is measured beside that.
    :param stalled: what makes no progress.
    :param showing_devices: by path, without its slash, what is not for everybody: on this host, or for who has the
        token. Each is a leaf.
    :param open_to_all: the same of what is for everybody who reaches the port, or looks itself for whom.
    :param telling_devices: what ``/status`` says of devices; see ``details.of_devices``.
    :param token: ``HTTP_TOKEN``; empty: what shows devices is answered on this host alone.
    """

    def healthz() -> Answer:
        if parts := stalled():
            names = ", ".join(f"{part.name} for {part.seconds:.0f} s" for part in parts)
            return http.SERVICE_UNAVAILABLE, TEXT, f"no progress: {names}\n".encode()
        return http.OK, TEXT, ALIVE

    def readyz() -> Answer:
        now = figures()
        told = status(now)
        body = json.dumps(told, ensure_ascii=False) + "\n"
        return http.OK if told["ready"] else http.SERVICE_UNAVAILABLE, JSON, body.encode()

    def all_of_it() -> Answer:
        now = figures()
        told = {**status(now), **details(now, beside()), **telling_devices()}
        return http.OK, JSON, json.dumps(told, ensure_ascii=False).encode() + b"\n"

    def metrics() -> Answer:
        return http.OK, CONTENT_TYPE, exposition(figures(), beside())

    root = Resource()
    for path, answer in ((b"healthz", healthz), (b"readyz", readyz), (b"metrics", metrics)):
        root.putChild(path, _Guarded(_Answering(answer), None))
    root.putChild(b"status", _Guarded(_Answering(all_of_it), token))
    for resources, needed in ((showing_devices, token), (open_to_all, None)):
        for name, resource in (resources or {}).items():
            root.putChild(name.encode(), _Guarded(resource, needed))
    site = _SilentSite(root, timeout=MAX_REQUEST_TIME)
    site.noisy = False
    return site


def status(figures: Figures) -> dict[str, Any]:
    """What ``/readyz`` tells of a moment."""
    return {**as_json(judge(figures)), **particulars(figures)}


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


def ask_for_token(request: Request) -> None:
    """Say, with 401, in which ways it may be given; the second has a browser ask its user."""
    request.responseHeaders.setRawHeaders(b"WWW-Authenticate", [b"Bearer", b'Basic realm="aiot-mqtt", charset="UTF-8"'])


def answer(request: Request, status: int, content_type: str, body: bytes) -> bytes:
    """Put an answer's status and headers on a request, for what a resource returns or writes."""
    request.setResponseCode(status)
    for name, value in {**HEADERS, "Content-Type": content_type}.items():
        request.setHeader(name.encode(), value.encode())
    return body


class _SilentSite(Site):
    """Has no line for each request: what scrapes it does so every few seconds, and the log is an operator's."""

    def log(self, request: Request) -> None:
        """Called by twisted.web when a request is answered."""


class _Answering(Resource):
    """Answers GET and HEAD at once."""

    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, asked: Callable[[], Answer]) -> None:
        super().__init__()
        self._asked = asked

    def render_GET(self, request: Request) -> bytes:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        return answer(request, *self._asked())


class _Guarded(Resource):
    """Lets those ask who may."""

    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, resource: IResource, token: str | None) -> None:
        """:param token: see ``access.refusal``."""
        super().__init__()
        self._resource = resource
        self._token = token

    def render(self, request: Request) -> Any:
        """Called by twisted.web, whatever the method."""
        body = self._rendered(request)
        if request.method != b"HEAD" or not isinstance(body, bytes):
            return body
        # Given a body, twisted.web would have a line in the log for each.
        request.setHeader(b"content-length", b"%d" % len(body))
        request.finish()
        return NOT_DONE_YET

    def _rendered(self, request: Request) -> Any:
        refused = refusal(request, self._token)
        if refused is None:
            return self._resource.render(request)
        status, sentence = refused
        if status == http.UNAUTHORIZED:
            ask_for_token(request)
        return answer(request, status, TEXT, f"{sentence}\n".encode())
