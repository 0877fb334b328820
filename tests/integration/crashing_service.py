"""The service, killed with SIGKILL by itself at a named step: ``python -m tests.integration.crashing_service STEP``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.scripts import twistd

from aiot_mqtt.device_table import DeviceTable
from aiot_mqtt.pending import Batch, PendingUpdates


def die(*_arguments: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


STEPS = {
    "receipt": (PendingUpdates, "take"),
    "commit": (DeviceTable, "write"),
    "acknowledgement": (Batch, "acknowledge"),
}

if __name__ == "__main__":
    setattr(*STEPS[sys.argv[1]], die)
    sys.argv = ["twistd", "-n", "--pidfile=", "aiot-mqtt"]
    twistd.run()
