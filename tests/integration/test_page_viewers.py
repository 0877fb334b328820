"""Pages that stay open cost little, whoever looks on and however many devices there are, and nothing grows.

``AIOT_PAGE_SECONDS=3600 scripts/test tests.integration.test_page_viewers`` looks on for an hour.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from rig.browser import Browser, Page
from rig.proc import cpu_seconds, memory
from rig.selection import LONG_ROUND, only_in_all
from rig.servers import DEVICE_TABLE, MariaDB
from rig.stage import OK, Stage

SECONDS = float(os.environ.get("AIOT_PAGE_SECONDS", "20"))
SETTLING = 10.0  # s until what is made once has been made
UUIDS = [f"sensor-{number}" for number in range(1, 101)]
REPORT_INTERVAL = 0.5  # s
MANY = 1_000_000
COUNTED_WITHIN = 400  # s; on a busy machine not by the first attempt, nor by the one a minute later
MIB = 1024 * 1024
SERVICE_GROWTH, PAGE_GROWTH = 2 * MIB, MIB  # what an hour draws is a fraction of it
NODES_GROWTH = 50
CPU_SHARE = 0.3  # of a core, with all that the messages themselves cost
COUNTED = """
    window.changes = 0;
    window.wasStale = false;
    new MutationObserver(() => { window.changes += 1; })
        .observe(document.querySelector(".clock"), {childList: true, characterData: true, subtree: true});
    new MutationObserver(() => { window.wasStale = window.wasStale || "stale" in document.documentElement.dataset; })
        .observe(document.documentElement, {attributes: true});
"""
NODES = "return document.querySelectorAll('*').length"


class ViewersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.browser.start()

    def open_two(self, stage: Stage) -> list[Page]:
        """Two people look on, each with a browser, a language and a screen of his own."""
        pages = []
        for language, width in (("zh", 1280), ("en", 390)):
            page = self.browser.open(languages=language)
            page.size(width, 900, is_phone=width < 500)
            page.go(stage.address(language))
            page.script(COUNTED)
            pages.append(page)
        return pages

    def assert_alive(self, page: Page, seconds: float) -> None:
        """It was told the news all that time; each second, where the machine is not busy."""
        self.assertGreater(page.script("return changes"), seconds / 3)
        self.assertFalse(page.script("return wasStale"))
        self.assertEqual(page.complaints(), [])

    @only_in_all(LONG_ROUND)
    def test_two_look_on_for_long_and_nothing_grows(self) -> None:
        stage = Stage(UUIDS, {})
        self.addCleanup(stage.close)
        is_over = threading.Event()

        def report() -> None:
            while not is_over.wait(REPORT_INTERVAL):
                stage.publish()
                stage.publish(("devices/nobody/data", "{}"), ("devices/sensor-1/data", "{"))

        reporting = threading.Thread(target=report)
        reporting.start()
        self.addCleanup(reporting.join)
        self.addCleanup(is_over.set)
        stage.until(OK)
        pages = self.open_two(stage)
        time.sleep(SETTLING)  # there is nothing to wait for but time
        pid = stage.service.process.pid
        heaps, nodes = [page.memory() for page in pages], [page.script(NODES) for page in pages]
        resident, used, began = memory(pid).resident, cpu_seconds(pid), time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - began
        share = (cpu_seconds(pid) - used) / seconds
        grown = memory(pid).resident - resident
        print(f"{seconds:.0f} s: {share:.1%} of a core, service {grown / MIB:+.1f} MiB", end=", ")
        self.assertLess(grown, SERVICE_GROWTH)
        self.assertLess(share, CPU_SHARE)
        for page, heap, count in zip(pages, heaps, nodes, strict=True):
            grown, more = page.memory() - heap, page.script(NODES) - count
            print(f"page {grown / MIB:+.1f} MiB {more:+d} elements {page.script('return changes')} changes", end=", ")
            self.assertLess(grown, PAGE_GROWTH)
            self.assertLess(more, NODES_GROWTH)
            self.assert_alive(page, seconds)

    @only_in_all(LONG_ROUND)
    def test_a_million_devices_are_looked_at_without_asking_for_them_all_the_time(self) -> None:
        database = MariaDB()
        self.addCleanup(database.close)
        database.start()
        database.create_device_table()
        database.grant()
        database.query(
            f"INSERT INTO {DEVICE_TABLE} (uuid, device_id, name, device_secret)"
            f" SELECT CONCAT('d', seq), CONCAT('dev-', seq), 'many', 's' FROM seq_1_to_{MANY}"
        )
        log = Path(database.folder) / "statements"
        database.query("SET GLOBAL log_output = 'FILE'")
        database.query("SET GLOBAL general_log_file = %s", (str(log),))
        database.query("SET GLOBAL general_log = ON")

        def statements() -> list[str]:
            return [line for line in log.read_text("utf-8", "replace").splitlines() if "Query\t" in line]

        stage = Stage(["one-more"], {"HEARTBEAT_TIMEOUT": "0"}, database=database)
        self.addCleanup(stage.close)
        stage.until(OK)
        pages = self.open_two(stage)
        for page in pages:
            counted = f"document.querySelector('.devices').innerText.includes('{MANY + 1:,}')"
            page.until(counted, timeout=COUNTED_WITHIN)
        before, began = len(statements()), time.monotonic()
        time.sleep(SECONDS)
        seconds = time.monotonic() - began
        asked = statements()
        counts = [line for line in asked if "COUNT(*)" in line]
        print(f"{seconds:.0f} s: {len(asked) - before} statements; {len(counts)} have counted", end=", ")
        self.assertTrue(counts)
        self.assertLess(len(counts), 3 + seconds / 60)
        self.assertLess(len(asked) - before, 1 + seconds)
        for page in pages:
            self.assert_alive(page, seconds)
        page.go(stage.address("en", uuid=f"d{MANY}"))
        self.assertIn(f"d{MANY}", page.text("#answer"))
