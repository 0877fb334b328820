"""``aiot-mqtt why``: each of its answers, from real servers."""

from __future__ import annotations

import json
import time
from typing import cast
from urllib.parse import quote

from rig import load
from rig.programs import LINE_TIMEOUT

from . import test_health

UUIDS = [f"d{number}" for number in range(20)]


class WhyTests(test_health.HealthCase):
    def why(self, uuid: str) -> dict[str, object]:
        code, text = self.ask(f"/why?uuid={quote(uuid, safe='')}")
        self.assertEqual(code, 200, text)
        answered: dict[str, object] = json.loads(text)
        return answered

    def until_why(self, uuid: str, situation: str) -> str:
        """The sentence, once it is about this."""
        deadline = time.monotonic() + LINE_TIMEOUT
        while (answered := self.why(uuid))["situation"] != situation:
            self.assertLess(time.monotonic(), deadline, answered)
            time.sleep(0.05)
        return str(answered["sentence"]["en"])  # type: ignore[index]

    def kinds(self, uuid: str) -> dict[str, dict[str, object]]:
        """What came of each kind since this was first asked."""
        return cast("dict[str, dict[str, object]]", self.why(uuid)["kinds"])

    def send(self, topic: str, payload: str = "{}") -> None:
        load.publish(self.broker.port, [(f"devices/{topic}", payload)])

    def test_each_answer_from_real_servers(self) -> None:
        service = self.run_service()
        service.wait_for("/readyz")
        self.until("ok")
        self.assertIn("was never seen", self.until_why("d1", "never"))
        self.send("d2/data")
        self.assertIn("is online: a message came", self.until_why("d2", "fine"))
        code, text = self.command("why", "d2")
        self.assertEqual(code, 0)
        self.assertIn("(noted since this was first asked", text)
        load.publish(self.broker.port, [("devices/d2/data", "{}")], 0)
        self.send("d2/heartbeat")
        deadline = time.monotonic() + LINE_TIMEOUT
        while len(kinds := self.kinds("d2")) < 2 or not all(each["written"] for each in kinds.values()):
            self.assertLess(time.monotonic(), deadline, kinds)
        self.assertEqual({name: each["qos"] for name, each in kinds.items()}, {"data": 0, "heartbeat": 1})
        self.send("d3/status", "offline")
        self.assertIn("said so itself", self.until_why("d3", "own_word"))
        self.send("d4/data", "{")
        self.assertIn("was refused: not valid JSON", self.until_why("d4", "refused"))
        self.send("stranger/data")
        self.send("stranger/heartbeat")
        self.assertIn("does not exist in device_main, but sends", self.until_why("stranger", "knocking"))
        self.assertEqual(self.command("why", "stranger")[0], 1)
        self.assertIn("Similar: d1, d1", self.until_why("d1x", "no_row"))
        self.send("d5/heartbeat")
        self.until_why("d5", "fine")
        self.database.query("UPDATE device_main SET is_online = 0 WHERE uuid = 'd5'")
        self.assertIn("another program", self.until_why("d5", "set_by_others"))
        for odd in ("a/b", "a+#", "a\0b", "x" * 5000, "\u202e", "100%"):
            answered = self.why(odd)
            self.assertEqual((answered["situation"], answered["exit_code"]), ("impossible", 1))
            self.assertTrue(str(answered["uuid"]).isprintable())
            self.assertLess(len(str(answered["uuid"])), 200)
        code, text = self.command("why", "--json", "a/b\udcff\x1b[2J")
        self.assertEqual((code, json.loads(text)["situation"]), (1, "impossible"))
        for path in ("/why", "/why?uuid=", "/why?uuid=a&uuid=b"):
            self.assertEqual(self.ask(path)[0], 400)
        # The database goes.
        self.database.stop()
        self.send("d6/data")
        self.until("protected")
        deadline = time.monotonic() + LINE_TIMEOUT
        while "kept on this host" not in self.until_why("d6", "waiting"):
            self.assertLess(time.monotonic(), deadline)
        self.send("d6/status", "on")
        deadline = time.monotonic() + LINE_TIMEOUT
        while "status" not in (kinds := self.kinds("d6")):
            self.assertLess(time.monotonic(), deadline)
        self.assertFalse(kinds["status"]["written"])
        self.assertIn("the table cannot be read", self.until_why("d7", "cannot_tell"))
        self.assertEqual(self.command("why", "d7")[0], 2)
        # Nobody runs.
        service.process.kill()
        service.process.wait()
        code, text = self.command("why", "d2")
        self.assertEqual(code, 2)
        self.assertIn("the service does not run", text)
        self.assertIn("The table cannot be read either", text)
        self.database.start()
        code, text = self.command("why", "d2")
        self.assertEqual(code, 2)
        self.assertIn("the service does not run. Last seen by the table", text)
        # Silence.
        self.database.query("UPDATE device_main SET is_online = 1, last_seen = '2020-01-01' WHERE uuid = 'd8'")
        self.run_service(HEARTBEAT_TIMEOUT="600").wait_for("✅ Database")
        self.assertIn("did not listen", self.until_why("d8", "not_judged_yet"))

    def test_who_was_silent_while_we_listened_is_told_as_that(self) -> None:
        self.run_service(HEARTBEAT_TIMEOUT="2", HEARTBEAT_CHECK_INTERVAL="1").wait_for("/readyz")
        self.until("ok")
        self.send("d2/heartbeat")
        self.assertIn("while this service listened", self.until_why("d2", "silent"))
