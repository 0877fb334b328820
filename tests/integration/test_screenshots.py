"""The pictures of the page that the documents show can be made anew."""

from __future__ import annotations

import struct
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from rig import servers
from rig.programs import LINE_TIMEOUT
from rig.screenshots import DESK, DESK_SCALE, MAX_BYTES, PHONE, PHONE_SCALE
from rig.selection import OTHER_WAYS, only_in_all

DOCS = servers.ROOT / "docs"
NAMES = {"page.png", "page.zh-CN.png", "page-phone.png", "page-dark.png"}
PALETTE = 3  # PNG, 11.2.2: the type of colour


def head(picture: bytes) -> tuple[int, int, int]:
    """Of a PNG: how wide it is, how high, and the type of its colours."""
    signature, width, height, _depth, colours = struct.unpack_from(">8s8xIIBB", picture)
    assert signature == b"\x89PNG\r\n\x1a\n"
    return width, height, colours


class ScreenshotTests(SynchronousTestCase):
    @only_in_all(OTHER_WAYS)
    def test_all_of_them_come_from_a_run(self) -> None:
        folder = servers.private_folder()
        self.addCleanup(servers.remove_folder, folder)
        argv = [sys.executable, "-m", "rig.screenshots", "--minutes", "0.1", "--away", "2", "--to", str(folder)]
        done = subprocess.run(argv, cwd=servers.ROOT, capture_output=True, timeout=3 * LINE_TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.assertEqual(made.keys(), NAMES)
        for name, picture in made.items():
            wide = PHONE[0] * PHONE_SCALE if "phone" in name else DESK * DESK_SCALE
            width, height, colours = head(picture)
            self.assertEqual((width, colours), (wide, PALETTE), name)
            self.assertGreater(height, width / 2, name)

    def test_those_of_the_documents_are_small(self) -> None:
        for name in NAMES:
            picture = (DOCS / name).read_bytes()
            self.assertLessEqual(len(picture), MAX_BYTES, name)
            self.assertEqual(head(picture)[2], PALETTE, name)
