"""What ``aiot-mqtt status`` makes of answers, also of a service of another version, which may lack any part."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aiot_mqtt.health.details import details, of_devices
from aiot_mqtt.health.metrics import Beside
from aiot_mqtt.health.site import status
from aiot_mqtt.health.status_words import in_words

from .test_site import a_moment


def answered() -> dict[str, Any]:
    beside = Beside(devices=(3, 8), counted_ago=2.0)
    whole = {**status(a_moment()), **details(a_moment(), beside), **of_devices(["nobody"], [])}
    return dict(json.loads(json.dumps(whole)))


def paths(part: object, *above: object) -> Iterator[tuple[object, ...]]:
    """The way to each part of an answer."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in inner:
        yield (*above, name)
        yield from paths(value, *above, name)


CHANGEABLE = [path for path in paths(answered()) if path[0] not in ("state", "sentence")]


class StatusWordsTests(SynchronousTestCase):
    def test_all_of_it_is_told(self) -> None:
        for language, word in (
            ("en", "online 3 · offline 5 (counted 2 s ago)"),
            ("zh", "在线 3 · 离线 5（2 秒前统计）"),
        ):
            self.assertIn(word, in_words(answered(), language, is_watched=True))

    @given(
        st.sampled_from(CHANGEABLE), st.sampled_from((None, 7, "x", [], {}, "missing")), st.sampled_from(("en", "zh"))
    )
    def test_the_sentence_is_told_whatever_else_a_service_of_another_version_answers(
        self, path: tuple[Any, ...], value: object, language: str
    ) -> None:
        answer: Any = copy.deepcopy(answered())
        part: Any = answer
        for name in path[:-1]:
            part = part[name]
        if value == "missing":
            del part[path[-1]]
        else:
            part[path[-1]] = value
        told = in_words(answer, language, is_watched=True)
        self.assertIn(answered()["sentence"][language], told.splitlines()[0])
