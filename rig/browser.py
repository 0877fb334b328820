"""A real browser, Chromium, by its driver, from the tree that scripts/fetch-servers made.

The driver is told what to do by W3C WebDriver: JSON over HTTP, of which the tests need a few calls only.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import re
import select
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .servers import TREES, Server, ServerFailed, ServersMissing, guard

TREE = TREES / "browser"
AXE = TREE / "axe.min.js"
ANSWER_TIMEOUT = 180.0  # s, for a busy machine
WAIT_TIMEOUT = 120.0  # s until a page shows something
FAREWELL = 20.0  # s a browser may take to end
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, 11: what a reference to an element is called
TAB, ENTER, SHIFT, RIGHT = "\ue004", "\ue007", "\ue008", "\ue014"  # W3C WebDriver, 17.4.2
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # what it looks for by itself
    "--hide-scrollbars",
    "--remote-debugging-pipe",  # to the driver: a browser ends when it does, also one that it is only just starting
)
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{tree}/usr/share/fonts</dir>
  <cachedir>{folder}/fonts</cachedir>
  <include ignore_missing="yes">{tree}/etc/fonts/conf.d</include>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>ui-monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""


def _library_path() -> str:
    libraries = TREE.resolve() / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    # Some libraries have others to themselves, in a folder beside them that they look for in the system's place.
    private = sorted({path.parent for path in libraries.glob("*/lib*.so*")})
    return ":".join(map(str, (libraries, *private)))


class Browser(Server):
    """The driver, and the browsers that it was told to start: all of them end with it."""

    _ready: ClassVar[re.Pattern[str]] = re.compile(r"ChromeDriver was started (successfully)")

    def __init__(self) -> None:
        if not (TREE / ".complete").exists():
            raise ServersMissing(f"{TREE} is missing: run scripts/fetch-servers browser")
        super().__init__("browser")
        self._fonts = self.folder / "fonts.conf"
        self._fonts.write_text(_FONTS.format(tree=TREE.resolve(), folder=self.folder))
        self._pages: list[Page] = []

    def _argv(self) -> list[str]:
        return [str(TREE / "usr" / "bin" / "chromedriver"), f"--port={self.port}"]

    def _more_environment(self) -> dict[str, str]:
        return {
            "LD_LIBRARY_PATH": _library_path(),
            "FONTCONFIG_FILE": str(self._fonts),
            "TMPDIR": str(self.folder),
        }

    def kill(self) -> None:
        """See ``Server``."""
        for page in list(self._pages):
            page.close()
        super().kill()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The value that the driver answers.

        :raises ServerFailed: it says that this could not be done.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_TIMEOUT)
        try:
            data = None if method == "GET" else json.dumps({} if body is None else body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            value = json.load(response)["value"]
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ServerFailed(f"{method} {path}: {value['error']}: {value['message']}")
        return value

    def open(self, *, languages: str = "en", javascript: bool = True) -> Page:
        """Start a browser that knows nothing of the others.

        :param languages: what its user reads, the one he likes best first.
        """
        settings = {"intl.accept_languages": languages, "intl.selected_languages": languages}
        if not javascript:
            settings["profile.managed_default_content_settings.javascript"] = 2  # type: ignore[assignment]
        options = {
            "binary": str(TREE.resolve() / "usr" / "lib" / "chromium" / "chromium"),
            "args": [*FLAGS, f"--lang={languages.partition(',')[0]}"],
            "prefs": settings,
        }
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        before = set(_children(self.pid))
        answer = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        started = [pid for pid in _children(self.pid) if pid not in before]
        page = Page(self, answer["sessionId"], started)
        self._pages.append(page)
        return page

    def pids(self) -> Iterator[int]:
        """Of the driver, and of all that it and its browsers have started."""
        return _with_descendants([self.pid])

    def forget(self, page: Page) -> None:
        """It has ended."""
        if page in self._pages:
            self._pages.remove(page)


class Page:
    """A browser of its own, and what it shows in its window."""

    def __init__(self, browser: Browser, session: str, pids: Sequence[int]) -> None:
        self._browser = browser
        self._path = f"/session/{session}"
        self._pids = pids
        for pid in pids:
            guard.tell("add", "pid", pid)
        self.scheme(is_dark=False)
        self.size(1280, 900)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End this browser with all the processes that it has started."""
        handles = [handle for pid in _with_descendants(self._pids) if (handle := _handle(pid)) is not None]
        with contextlib.suppress(OSError, ServerFailed):  # it has ended already, or is killed now
            self._browser.ask("DELETE", self._path)
        deadline = time.monotonic() + FAREWELL
        for handle in handles:
            # Readable once the process has ended: pidfd_open(2).
            if not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        for pid in self._pids:
            guard.tell("discard", "pid", pid)
        self._browser.forget(self)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """As ``Browser.ask``, of this browser."""
        return self._browser.ask(method, self._path + path, body)

    def devtools(self, command: str, **parameters: object) -> Any:
        """What WebDriver has no word for."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def go(self, url: str) -> None:
        """Load it, and return when that is done."""
        self.ask("POST", "/url", {"url": url})

    def script(self, body: str, *arguments: object) -> Any:
        """What the body of a function returns, or the promise that it returns becomes.

        It is the driver's and no page's own: no policy of a page is asked.
        """
        return self.ask("POST", "/execute/sync", {"script": body, "args": arguments})

    def until(self, expression: str, *arguments: object, timeout: float = WAIT_TIMEOUT) -> Any:
        """Look until an expression is true, and return what it is then.

        :raises AssertionError: it does not become so; with what the page shows.
        """
        deadline = time.monotonic() + timeout
        while not (found := self.script(f"return {expression}", *arguments)):
            if time.monotonic() > deadline:
                shown = self.script("return document.documentElement.dataset.state + '\\n' + document.body.innerText")
                raise AssertionError(f"not in {timeout} s: {expression} {arguments}\n{shown}")
            time.sleep(0.05)
        return found

    def text(self, selector: str) -> str:
        """What can be read of the first element that is selected; empty where there is none."""
        return str(self.script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        """As with a mouse: it must be seen, and nothing may lie above it."""
        element = self.ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]
        self.ask("POST", f"/element/{element}/click")

    def press(self, *keys: str) -> None:
        """Press these keys at once, wherever the focus is: characters, or ``TAB`` and the like."""
        actions = [{"type": "keyDown", "value": key} for key in keys]
        actions += [{"type": "keyUp", "value": key} for key in reversed(keys)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def size(self, width: int, height: int, *, scale: float = 1.0, is_phone: bool = False) -> None:
        """What is seen of the page, in CSS pixels."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_phone
        )

    def scheme(self, *, is_dark: bool) -> None:
        """Light or dark, as its user would have set it; nothing moves, so that what is measured is what stays."""
        features = {"prefers-color-scheme": "dark" if is_dark else "light", "prefers-reduced-motion": "reduce"}
        named = [{"name": name, "value": value} for name, value in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=named)

    def complaints(self) -> list[str]:
        """What its console has said since it was last asked: errors, and what a page's policy did not allow."""
        said = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in said if entry["level"] in ("WARNING", "SEVERE")]

    def picture(self) -> bytes:
        """What is seen, as a PNG."""
        return base64.b64decode(self.ask("GET", "/screenshot"))

    def accessibility(self, *ignored: str) -> list[str]:
        """What axe-core finds wrong, one line each.

        :param ignored: rules that are not asked.
        """
        run = """
            return axe.run(document, {rules: Object.fromEntries(arguments[0].map(rule => [rule, {enabled: false}])),
                                      resultTypes: ["violations"], preload: false})
                .then(found => found.violations.flatMap(violation => violation.nodes.map(
                    node => violation.id + ": " + node.html.slice(0, 200) + ": " + node.failureSummary)))
        """
        if not self.script("return 'axe' in window"):
            self.script(AXE.read_text("utf-8"))
        return [str(line) for line in self.script(run, ignored)]

    def memory(self) -> int:
        """Bytes that the page's own objects take, after what is not needed was let go."""
        self.devtools("HeapProfiler.collectGarbage")
        return int(self.devtools("Runtime.getHeapUsage")["usedSize"])


def _children(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, path.read_text().split())
        except OSError:
            continue  # the thread has ended


def _with_descendants(pids: Sequence[int]) -> Iterator[int]:
    for pid in pids:
        yield pid
        yield from _with_descendants(list(_children(pid)))


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
