"""SUBSCRIBE until the broker has granted every topic, and what is told of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..telemetry import log_lines, reasons
from ..telemetry.bilingual import listed
from ..telemetry.outage import Outage
from .connection import MqttConnection
from .reason_codes import FAILURE, suback_reason
from .tally import ConnectionTally

SUBACK_TIMEOUT = 10.0  # s


async def subscribe(
    connection: MqttConnection,
    topics: Sequence[str],
    clock: IReactorTime,
    log: Logger,
    *,
    outage: Outage,
    tally: ConnectionTally,
    backoff: Callable[[int], float],
) -> None:
    """Ask until the broker has granted every topic.

    :param outage: told of denials; who calls this ends it.
    :param tally: counts them.
    :param backoff: seconds to wait after an attempt, from its number.
    :raises MqttError: the connection is gone.
    """
    wanted, attempt = list(topics), 0
    while wanted:
        silence = reasons.SUBSCRIBE_UNANSWERED.fill(seconds=round(SUBACK_TIMEOUT))
        giving_up = clock.callLater(SUBACK_TIMEOUT, connection.abort, silence)
        try:
            codes = await connection.subscribe(wanted)
        finally:
            if giving_up.active():
                giving_up.cancel()
        delay = backoff(attempt)
        missing = [FAILURE] * (len(wanted) - len(codes))
        answers = list(zip(wanted, codes + missing, strict=False))
        tell_grants(log, answers)
        denied = [(topic, code) for topic, code in answers if code >= FAILURE]
        tally.subscriptions_denied += len(denied)
        if denied:
            tell_denials(outage, denied, delay)
            await deferLater(clock, delay)
        wanted, attempt = [topic for topic, _ in denied], attempt + 1


def tell_grants(log: Logger, answers: Sequence[tuple[str, int]]) -> None:
    """Tell which topics SUBACK grants. :param answers: topics, each with its reason code."""
    for topic, code in answers:
        if code < FAILURE:
            log.info(log_lines.SUBSCRIBED, topic=topic)
        if code == 0:
            log.warn(log_lines.GRANTED_QOS_0, topic=topic)


def tell_denials(outage: Outage, denied: Sequence[tuple[str, int]], delay: float) -> None:
    """Tell which topics SUBACK denies, in one line, by what is wrong with the first.

    :param denied: topics, each with its reason code.
    :param delay: seconds until they are asked for again.
    """
    codes = list(dict.fromkeys(code for _, code in denied))
    outage.failed(
        log_lines.SUBSCRIPTION_DENIALS.get(codes[0], log_lines.SUBSCRIPTION_DENIED_OTHERWISE),
        listed([suback_reason(code) for code in codes]),
        still_down=log_lines.SUBSCRIPTION_STILL_DENIED,
        topic=", ".join(topic for topic, _ in denied),
        seconds=round(delay),
    )
