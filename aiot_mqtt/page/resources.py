"""What is answered at ``/``: the page, what it is made of, and the stream of what changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from twisted.logger import Logger
from twisted.web import http
from twisted.web.http import Request
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET

from ..health.access import refusal
from ..health.device import DeviceFacts
from ..health.site import HEADERS, TEXT, answer, ask_for_token
from ..health.state import State
from ..telemetry import log_lines
from ..telemetry.survive import start
from . import words
from .document import ALONE, LOCKED, MAX_UUID, page
from .icons import icon
from .live import MAX_VIEWERS, Live, View
from .looks import Looks
from .reader import language_of

HTML = "text/html; charset=utf-8"
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "connect")),
        "img-src 'self' data:",  # the tab's icon once the service is away
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def page_resources(
    looks: Looks,
    live: Live,
    facts: Callable[[str], Awaitable[DeviceFacts]],
    *,
    token: str,
    language: str,
) -> dict[str, IResource]:
    """By path, without its slash, what is for everybody who reaches the port: each looks itself who may see devices.

    :param facts: what is known of a device. :param token: ``HTTP_TOKEN``. :param language: where the browser has none
        that we have.
    """
    static = files(__package__).joinpath("static")
    return {
        "": _Page(looks, facts, token, language),
        "events": _Events(live, token, language),
        "page.css": _Static("text/css; charset=utf-8", static.joinpath("page.css").read_bytes()),
        "page.js": _Static("text/javascript; charset=utf-8", static.joinpath("page.js").read_bytes()),
        **{
            f"icon-{state}.svg": _Static("image/svg+xml", icon(state).encode())
            for state in (each.value for each in State)
        },
    }


class _Static(Resource):
    """A file that is the same as long as the process runs."""

    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, content_type: str, body: bytes) -> None:
        super().__init__()
        self._content_type = content_type
        self._body = body

    def render_GET(self, request: Request) -> bytes:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        return answer(request, http.OK, self._content_type, self._body)


class _Page(Resource):
    """The document."""

    isLeaf = True  # noqa: N815 twisted.web's word
    _log = Logger()

    def __init__(self, looks: Looks, facts: Callable[[str], Awaitable[DeviceFacts]], token: str, language: str) -> None:
        super().__init__()
        self._looks = looks
        self._facts = facts
        self._token = token
        self._language = language

    def render_GET(self, request: Request) -> Any:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        language = _language(request, self._language)
        refused = refusal(request, self._token)
        uuid = _argument(request, "uuid").strip()[:MAX_UUID]
        wants_devices = bool(uuid) or _wants_devices(request)
        if refused is not None:
            hidden = LOCKED if refused[0] == http.UNAUTHORIZED else ALONE
            code = http.OK
            if wants_devices:
                code = refused[0]
                if code == http.UNAUTHORIZED:
                    ask_for_token(request)
            return self._answer(request, language, code, hidden=hidden)
        if not uuid:
            return self._answer(request, language, http.OK)
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        async def answering() -> None:
            code, facts = http.OK, None
            try:
                facts = await self._facts(uuid)
            except Exception:
                self._log.failure(log_lines.WHY_FAILED_UNEXPECTEDLY)
                code = http.INTERNAL_SERVER_ERROR
            if not gone:
                request.write(self._answer(request, language, code, asked=uuid, facts=facts))
                request.finish()

        start(answering(), self._log, log_lines.WHY_FAILED_UNEXPECTEDLY)
        return NOT_DONE_YET

    def _answer(
        self,
        request: Request,
        language: str,
        code: int,
        *,
        hidden: str | None = None,
        asked: str | None = None,
        facts: DeviceFacts | None = None,
    ) -> bytes:
        moment, reader, shown = self._looks.at(View(language, hidden is None))
        body = page(moment, shown, reader, hidden=hidden, asked=asked, facts=facts)
        sent = answer(request, code, HTML, body)
        request.setHeader(b"Content-Security-Policy", POLICY.encode())
        request.setHeader(b"Content-Language", reader.says(words.LANGUAGE).encode())
        request.setHeader(b"Content-Length", str(len(sent)).encode())
        request.setHeader(b"Vary", b"Accept-Language, Authorization")
        return sent


class _Events(Resource):
    """The stream."""

    isLeaf = True  # noqa: N815 twisted.web's word

    def __init__(self, live: Live, token: str, language: str) -> None:
        super().__init__()
        self._live = live
        self._token = token
        self._language = language

    def render_GET(self, request: Request) -> Any:  # noqa: N802 twisted.web's name
        """Called by twisted.web; HEAD, too."""
        language = _language(request, self._language)
        # A page from elsewhere could not read it, but it could take the places of those who may.
        if request.getHeader(b"sec-fetch-site") not in (None, b"same-origin", b"none"):
            return answer(request, http.FORBIDDEN, TEXT, b"this is for the page itself\n")
        shows_devices = _wants_devices(request)
        if shows_devices and (refused := refusal(request, self._token)) is not None:
            if refused[0] == http.UNAUTHORIZED:
                ask_for_token(request)
            return answer(request, refused[0], TEXT, f"{refused[1]}\n".encode())
        if self._live.is_full:
            text = words.TOO_MANY.fill(count=str(MAX_VIEWERS))
            said = text.chinese if language == "zh" else text
            return answer(request, http.SERVICE_UNAVAILABLE, TEXT, f"{said}\n".encode())
        for name, value in {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}.items():
            request.setHeader(name.encode(), value.encode())
        request.setHeader(b"X-Accel-Buffering", b"no")  # nginx would keep it until there is more
        if request.method == b"HEAD":
            return b""
        self._live.add(request, View(language, shows_devices))
        return NOT_DONE_YET


def _argument(request: Request, name: str) -> str:
    """What the address says, once."""
    given = (request.args or {}).get(name.encode(), [])
    return given[0].decode("utf-8", "backslashreplace") if len(given) == 1 else ""


def _wants_devices(request: Request) -> bool:
    """``request.args`` has nothing of a name that stands without ``=``."""
    return b"devices" in {each.partition(b"=")[0] for each in request.uri.partition(b"?")[2].split(b"&")}


def _language(request: Request, default: str) -> str:
    accepted = request.getHeader(b"accept-language") or b""  # asked for as text, Twisted would have to decode it
    return language_of(_argument(request, "lang"), accepted.decode("latin-1"), default)
