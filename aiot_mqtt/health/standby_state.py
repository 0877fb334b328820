"""What the state is of one of several instances (``HA_MODE``): one that waits is well when it could take over. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ..standby.role import Role
from ..standby.told import Told
from ..telemetry.bilingual import Bilingual, in_chinese

MISSING = 60.0  # s in which nobody else was heard, after which somebody should know that nobody would take over


def condition(told: Told) -> tuple[bool, Bilingual]:
    """Whether there is one that is active and one that could take over, and in words who."""
    if told.trouble is not None:
        return False, Bilingual(told.trouble[:], in_chinese(told.trouble))
    if told.role is Role.ACTIVE:
        if told.standbys:
            names = ", ".join(told.standbys)
            return True, Bilingual(
                f"{told.name} (this one) is active, {names} waits", f"{told.name}（本实例）在工作，{names} 待命"
            )
        return told.alone < MISSING, Bilingual(
            "no standby is heard: nobody would take over", "没有待命的实例：失效时无人接管"
        )
    if told.active is None:
        return False, Bilingual("nobody is active", "没有实例在工作")
    return True, Bilingual(
        f"{told.active} is active, {told.name} (this one) waits", f"{told.active} 在工作，{told.name}（本实例）待命"
    )


def of_others(told: Told | None, *, is_rivalled: bool) -> list[tuple[str, bool, Bilingual]]:
    """The conditions that are about other instances, by name: those on purpose, and those by mistake.

    :param is_rivalled: another program has taken the session lately.
    """
    found = [] if told is None else [("standby", *condition(told))]
    if is_rivalled:
        words = Bilingual(
            "another program uses MQTT_CLIENT_ID and takes the session from time to time: stop it",
            "另有程序使用同一 MQTT_CLIENT_ID，不时抢走会话：请停掉它",
        )
        found.append(("rival", False, words))
    return found


def is_waiting(told: Told | None) -> bool:
    """Whether it is somebody else's turn, or nobody's."""
    return told is not None and told.role is not Role.ACTIVE


def sentence(told: Told, unmet: Sequence[Bilingual]) -> Bilingual:
    """Whether one that waits could take over. :param unmet: what is in the way."""
    if not unmet:
        return Bilingual(
            f"Standby: {told.active} is active, and this instance could take over.",
            f"待命：{told.active} 在工作，本实例可以接管。",
        )
    first = unmet[0]
    if told.active is None:
        return Bilingual(
            f"Nobody is known to be active: {first}. The broker keeps what comes, by default 1000 messages. Act now.",
            f"没有已知在工作的实例：{first.chinese}。消息留在 Broker，默认只留 1000 条。现在就处理。",
        )
    return Bilingual(
        f"{told.active} is active, but this standby could not do its work: {first}.",
        f"{told.active} 在工作，但本实例接管后无法正常工作：{first.chinese}。",
    )
