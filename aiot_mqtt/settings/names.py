"""Names that look like settings and are none: silence there would dial localhost."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ..telemetry.bilingual import Bilingual
from ..telemetry.reasons import settings as reasons
from .earlier_service import own_name

OWN_PREFIXES = (
    "ALERT_",
    "MQTT_",
    "DB_",
    "DEVICE_",
    "HA_",
    "HEARTBEAT_",
    "HTTP_",
    "LAST_SEEN_",
    "LOG_",
    "SPOOL_",
    "STATS_",
    "SHUTDOWN_",
)
# As other programs call them, where the nearest of ours by its letters is another one.
ELSEWHERE = {
    "MQTT_HOST": "MQTT_BROKER",
    "MQTT_SERVER": "MQTT_BROKER",
    "DB_DATABASE": "DB_NAME",
    "DB_SCHEMA": "DB_NAME",
    "HTTP_PORT": "HTTP_LISTEN",
    "LOG_PATH": "LOG_FILE",
}
ALIKE = 0.8  # of their letters; with less it would be a guess


def unknown_names(lines: Mapping[str, int], path: Path, known: Collection[str]) -> Iterator[Bilingual]:
    """A mistake for each in a file.

    :param lines: where each stands.
    """
    for name, line in lines.items():
        upper = name.upper()
        if name in known or not upper.startswith(OWN_PREFIXES):
            continue
        near = difflib.get_close_matches(upper, known, 1, ALIKE)
        meant = own_name(upper, known) or ELSEWHERE.get(upper) or next(iter(near), None)
        advice = reasons.MEANT.fill(name=meant) if meant else reasons.SEE_EXAMPLE
        what = reasons.NO_SETTING.fill(name=name, advice=advice)
        yield reasons.MISTAKE_AT.fill(where=f"{path}:{line}", what=what)
