"""The browser that the tests of the page look through sees what goes wrong, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from rig import servers
from rig.browser import TAB, Browser

PAGE = (
    "data:text/html;charset=utf-8,<html lang=en><title>t</title><main><h1>h</h1><button>b</button>"
    "<noscript>without</noscript></main>"
)
KILLED = """
import sys
from rig.browser import Browser
browser = Browser()
browser.start()
page = browser.open()
print(*browser.pids(), flush=True)
sys.stdin.read()
"""


def living(pids: Iterable[int]) -> set[int]:
    """Those of them that run."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] not in "ZX":
                found.add(pid)
    return found


class BrowserTests(SynchronousTestCase):
    def test_it_tells_what_a_page_does_wrong(self) -> None:
        with Browser() as browser, browser.open(languages="zh-CN,zh") as page:
            page.go(PAGE)
            self.assertEqual(page.text("h1"), "h")
            self.assertEqual(page.script("return [navigator.language, innerWidth]"), ["zh-CN", 1280])
            self.assertEqual((page.accessibility(), page.complaints()), ([], []))
            page.size(390, 844)
            page.scheme(is_dark=True)
            dark = "matchMedia('(prefers-color-scheme: dark)').matches"
            self.assertEqual(page.script(f"return [innerWidth, {dark}]"), [390, True])
            page.press(TAB)
            self.assertEqual(page.script("return document.activeElement.tagName"), "BUTTON")
            page.script("document.querySelector('button').textContent = ''; setTimeout(() => { throw new Error('x') })")
            self.assertIn("button-name", page.accessibility()[0])
            self.assertIn("Error: x", page.complaints()[0])

    def test_without_javascript_what_is_for_that_is_shown(self) -> None:
        with Browser() as browser, browser.open(javascript=False) as page:
            page.go(PAGE)
            self.assertIn("without", page.text("main"))

    def test_all_its_processes_end_with_it(self) -> None:
        with Browser() as browser, browser.open() as page:
            page.go(PAGE)
            started = living(browser.pids())  # some have a short task and end by themselves
            self.assertGreater(len(started), 3)
        self.assertEqual(living(started), set())

    def test_all_its_processes_end_with_ours_however_that_ends(self) -> None:
        argv = [sys.executable, "-c", KILLED]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=servers.ROOT) as process:
            assert process.stdout is not None
            started = [int(pid) for pid in process.stdout.readline().split()]
            self.assertGreater(len(started), 3)
            os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + servers.STOP_TIMEOUT
        while living(started):
            self.assertLess(time.monotonic(), deadline, living(started))
            time.sleep(0.05)
