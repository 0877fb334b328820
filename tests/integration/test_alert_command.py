"""ALERT_COMMAND: real programs, on a clock that the test moves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel
from twisted.trial.unittest import TestCase

from aiot_mqtt.health.alert_command import DAMPING, RUN_INTERVAL, RUN_TIMEOUT, AlertCommand
from tests.log_events import collect_events

WAIT = 60.0  # s that a busy machine may take for a program
SOON = 0.01


class TimeAndPrograms(Clock):
    """Time as the test says, and real processes."""

    def spawnProcess(self, *arguments: Any, **named: Any) -> Any:
        return real_reactor.spawnProcess(*arguments, **named)


class AlertCommandTests(TestCase):
    def setUp(self) -> None:
        self.clock = TimeAndPrograms()
        self.state = "ok"
        self.told = Path(self.mktemp()).absolute()
        self.events = collect_events(self)

    def start(self, script: str) -> None:
        argv = ("/bin/sh", "-c", script, "sh", str(self.told))
        self.alerts = AlertCommand(argv, self.status, self.clock)
        self.alerts.startService()
        self.addCleanup(self.alerts.stopService)

    def status(self) -> dict[str, Any]:
        return {"state": self.state, "sentence": {"zh": "引号 \" ' 和\n换行"}, "host": "gw"}

    def pass_time(self, seconds: float, state: str | None = None) -> None:
        self.state = state or self.state
        for _ in range(round(seconds)):
            self.clock.advance(1)

    async def until_run(self, *results: int) -> None:
        """Until runs have ended: so many ok, and failed."""
        for _ in range(round(WAIT / SOON)):
            found = (self.alerts.results["ok"], self.alerts.results["failed"])
            if found == results:
                return
            await deferLater(real_reactor, SOON)
            self.clock.advance(SOON)
        self.fail(f"{found} instead of {results}")

    @property
    def states(self) -> list[str]:
        lines = self.told.read_text("utf-8").splitlines() if self.told.exists() else []
        return [json.loads(line)["state"] for line in lines]

    async def test_a_state_that_lasts_is_told_once_with_all_that_readyz_says(self) -> None:
        self.start('cat >>"$1"')
        self.pass_time(1000)
        self.pass_time(DAMPING, "fault")
        self.assertEqual(self.states, [])
        self.pass_time(2)
        await self.until_run(1, 0)
        self.assertEqual(json.loads(self.told.read_text("utf-8")), self.status())
        self.pass_time(1000)
        self.pass_time(RUN_INTERVAL, "ok")
        await self.until_run(2, 0)
        self.assertEqual(self.states, ["fault", "ok"])
        self.assertEqual(self.alerts.results["suppressed"], 0)

    async def test_a_state_that_flaps_does_not_ring(self) -> None:
        self.start('cat >>"$1"')
        for _ in range(20):
            self.pass_time(DAMPING - 5, "fault")
            self.pass_time(DAMPING + 5, "ok")
        self.assertEqual(self.alerts.results, {"ok": 0, "failed": 0, "suppressed": 20})

    async def test_no_more_than_one_a_minute_and_the_last_state_always(self) -> None:
        self.start('cat >>"$1"')
        self.pass_time(DAMPING + 1, "fault")  # the last look is the one that runs it
        await self.until_run(1, 0)
        self.pass_time(DAMPING - 2, "protected")
        self.pass_time(RUN_INTERVAL - DAMPING - 2, "look")
        self.assertEqual(self.states, ["fault"])
        self.pass_time(DAMPING)
        await self.until_run(2, 0)
        self.assertEqual(self.states, ["fault", "look"])
        self.assertEqual(self.alerts.results["suppressed"], 1)

    async def test_a_run_that_fails_is_told_and_tried_again_with_the_state_of_then(self) -> None:
        self.start('if [ -e "$1.ready" ]; then cat >>"$1"; else echo 没有 >&2; exit 3; fi')
        self.pass_time(DAMPING + 1, "fault")
        await self.until_run(0, 1)
        errors = [event["reason"] for event in self.events if event["log_level"] is LogLevel.error]
        self.assertEqual(len(errors), 1)
        self.assertIn("exit code 3", errors[0])
        self.assertIn("没有", errors[0])
        Path(f"{self.told}.ready").touch()
        self.pass_time(RUN_INTERVAL, "protected")
        await self.until_run(1, 1)
        self.assertEqual(self.states, ["protected"])

    async def test_one_that_hangs_is_killed_and_so_is_one_at_the_end(self) -> None:
        self.start('echo $$ >"$1"; exec sleep 1000')
        self.pass_time(DAMPING + 1, "fault")
        self.pass_time(RUN_TIMEOUT + 1)
        await self.until_run(0, 1)
        self.pass_time(RUN_INTERVAL)
        self.alerts.stopService()
        await self.until_run(0, 2)

    async def test_a_program_that_reads_nothing_or_says_much_or_leaves_a_child_is_no_matter(self) -> None:
        self.start(
            'exec 0<&-; sleep 1000 & echo $! >"$1.child"; i=0; while [ $i -lt 20000 ]; do echo 一行; i=$((i+1)); done'
        )
        self.pass_time(DAMPING + 1, "fault")
        await self.until_run(1, 0)
        os.kill(int(Path(f"{self.told}.child").read_text("ascii")), 9)

    async def test_our_own_environment_is_not_handed_on(self) -> None:
        self.start('cat >/dev/null; env >"$1"')
        self.pass_time(DAMPING + 1, "fault")
        await self.until_run(1, 0)
        names = {line.partition("=")[0] for line in self.told.read_text("utf-8").splitlines()}
        self.assertLessEqual(names, {"PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD"})
