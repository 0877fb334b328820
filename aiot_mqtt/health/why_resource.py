"""``/why?uuid=…``: what ``why`` answers about one device, as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger
from twisted.web import http
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ..telemetry import log_lines
from ..telemetry.survive import start
from .device import DeviceFacts
from .site import JSON, TEXT, answer
from .why_lines import as_json

MAX_UUID = 1024  # characters that are looked at


class WhyResource(Resource):
    """Answers GET when the table has answered, or has not in time."""

    isLeaf = True  # noqa: N815 twisted.web's word
    _log = Logger()

    def __init__(self, facts: Callable[[str], Awaitable[DeviceFacts]]) -> None:
        """:param facts: what is known of a device."""
        super().__init__()
        self._facts = facts

    def render_GET(self, request: Request) -> Any:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        given = (request.args or {}).get(b"uuid", [])
        if len(given) != 1 or not given[0]:
            return answer(request, http.BAD_REQUEST, TEXT, b"one uuid is needed: /why?uuid=...\n")
        uuid = given[0].decode("utf-8", "backslashreplace")[:MAX_UUID]
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        async def answering() -> None:
            try:
                body = json.dumps(as_json(await self._facts(uuid)), ensure_ascii=False).encode("utf-8", "replace")
                sent = answer(request, http.OK, JSON, body + b"\n")
            except Exception:
                self._log.failure(log_lines.WHY_FAILED_UNEXPECTEDLY)
                sent = answer(request, http.INTERNAL_SERVER_ERROR, TEXT, b"a fault of ours: see the log\n")
            if not gone:
                request.write(sent)
                request.finish()

        start(answering(), self._log, log_lines.WHY_FAILED_UNEXPECTEDLY)
        return NOT_DONE_YET
