"""What is told of an instance, in figures and words."""

from __future__ import annotations

from dataclasses import dataclass

from ..telemetry.bilingual import Bilingual
from .role import Role
from .sight import Why

WORDS = {
    Why.NOBODY: Bilingual("nobody is active", "没有实例在工作"),
    Why.SILENT: Bilingual("{name} is not heard any more", "{name} 没有消息"),
    Why.GONE: Bilingual("the broker lost {name}", "Broker与 {name} 的连接已断"),
    Why.RELEASED: Bilingual("{name} has stopped", "{name} 已停止"),
    Why.OWN: Bilingual("it was active, and nobody else is", "原本由它工作，且没有其他实例"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What ``status``, the page and ``/metrics`` tell of it."""

    name: str
    role: Role
    active: str | None
    """The name of the one that is active, as far as is known."""
    standbys: tuple[str, ...]
    """The names of others that wait."""
    since: float
    """Seconds in this role."""
    alone: float
    """Seconds of these in which no other one that waits was heard, the last ones."""
    trouble: str | None
    """Why it could not take over, or cannot go on, in words."""
