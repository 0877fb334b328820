"""What is lost with a container or a restart, by what the kernel says of mounts."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.spool import lifetime
from aiot_mqtt.spool.lifetime import reason_of, warn_if_short_lived, why_short_lived
from aiot_mqtt.telemetry import log_lines, reasons

# As kernels have printed them: fields, optional ones, a dash, kind and source.
HOST = "22 27 0:21 / /proc rw,relatime - proc proc rw\n27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
DOCKER = (
    "600 500 0:60 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A,workdir=/w\n"
    "601 600 0:62 / /proc rw,nosuid - proc proc rw\n"
    "602 600 0:64 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k\n"
)
ON_OTHER_DRIVER = "600 500 254:0 /var/lib/containers/vfs/dir/1 / rw,relatime - ext4 /dev/vda rw\n"
SUBVOLUME = "27 1 0:24 /@ / rw,relatime shared:1 - btrfs /dev/vda2 rw,subvol=/@\n"
VOLUME = "610 600 254:0 /volumes/data /var/lib/mqtt-service rw,relatime master:1 - ext4 /dev/vda rw\n"
SPACED = r"611 600 254:0 /v /var/lib/with\040a\040space rw - xfs /dev/vdb rw" + "\n"


class ReasonTests(SynchronousTestCase):
    def check(self, folder: str, mounts: str, expected: object, *, is_marked: bool = False) -> None:
        self.assertIs(reason_of(Path(folder), mounts, is_marked=is_marked), expected, (folder, mounts))

    def test_a_disk_of_the_host_lasts(self) -> None:
        for is_marked in (False, True):  # a machine that was made of an image has its mark
            self.check("/var/lib/mqtt-service", HOST, None, is_marked=is_marked)
            self.check("/", HOST, None, is_marked=is_marked)
        self.check("/var/lib/mqtt-service", SUBVOLUME, None)

    def test_a_containers_own_layer_is_lost_with_it(self) -> None:
        self.check("/var/lib/mqtt-service", DOCKER, reasons.IN_THE_CONTAINER)
        self.check("/var/lib/mqtt-service", ON_OTHER_DRIVER, reasons.IN_THE_CONTAINER, is_marked=True)

    def test_a_volume_lasts(self) -> None:
        for mounts in (DOCKER, ON_OTHER_DRIVER):
            for folder in ("/var/lib/mqtt-service", "/var/lib/mqtt-service/below"):
                self.check(folder, mounts + VOLUME, None, is_marked=True)
                self.check(folder, VOLUME + mounts, None, is_marked=True)
            self.check("/var/lib/mqtt-service-2", mounts + VOLUME, reasons.IN_THE_CONTAINER, is_marked=True)
        self.check("/var/lib/with a space/x", DOCKER + SPACED, None)

    def test_memory_is_lost_with_a_restart_wherever_it_is_mounted(self) -> None:
        self.check("/dev/shm/x", DOCKER, reasons.IN_MEMORY)
        self.check("/var/lib/mqtt-service", HOST + VOLUME.replace("ext4", "tmpfs"), reasons.IN_MEMORY)

    def test_what_is_mounted_over_another_hides_it(self) -> None:
        self.check("/var/lib/mqtt-service", HOST + VOLUME.replace("ext4", "tmpfs") + VOLUME, None)
        self.check("/var/lib/mqtt-service", HOST + VOLUME + VOLUME.replace("ext4", "tmpfs"), reasons.IN_MEMORY)


class ThisHostTests(SynchronousTestCase):
    def test_memory_of_this_host_is_told_and_what_is_not_there_is_not(self) -> None:
        path = Path("/dev/shm/aiot.spool")
        with capturedLogs() as events:
            warn_if_short_lived(path)
        self.assertEqual([event["log_format"] for event in events], [log_lines.SPOOL_SHORT_LIVED])
        self.assertEqual((events[0]["path"], events[0]["reason"]), (str(path), reasons.IN_MEMORY))

    def test_where_the_kernel_says_nothing_neither_do_we(self) -> None:
        self.patch(lifetime, "MOUNTS", Path("/proc/self/there-is-none"))
        self.assertIsNone(why_short_lived(Path("/dev/shm/aiot.spool")))

    def test_links_are_followed(self) -> None:
        link = Path(self.mktemp())
        link.symlink_to("/dev/shm")
        self.assertIs(why_short_lived(link / "aiot.spool"), reasons.IN_MEMORY)
