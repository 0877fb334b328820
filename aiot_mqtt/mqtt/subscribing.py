"""SUBSCRIBE until the broker has granted every topic, and what is told of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..telemetry import log_lines
from .connection import MqttConnection
from .reason_codes import FAILURE, suback_reason


async def subscribe(
    connection: MqttConnection,
    topics: Sequence[str],
    clock: IReactorTime,
    log: Logger,
    *,
    timeout: float,
    backoff: Callable[[int], float],
) -> None:
    """Ask until the broker has granted every topic.

    :param timeout: seconds that it may take to answer.
    :param backoff: seconds to wait after an attempt, from its number.
    :raises MqttError: the connection is gone.
    """
    wanted, attempt = list(topics), 0
    while wanted:
        silence = f"the broker did not answer SUBSCRIBE within {timeout:.0f} s"
        giving_up = clock.callLater(timeout, connection.abort, silence)
        try:
            codes = await connection.subscribe(wanted)
        finally:
            if giving_up.active():
                giving_up.cancel()
        delay = backoff(attempt)
        missing = [FAILURE] * (len(wanted) - len(codes))
        answers = list(zip(wanted, codes + missing, strict=False))
        for topic, code in answers:
            tell_answer(log, topic, code, delay)
        wanted, attempt = [topic for topic, code in answers if code >= FAILURE], attempt + 1
        if wanted:
            await deferLater(clock, delay)


def tell_answer(log: Logger, topic: str, code: int, delay: float) -> None:
    """Tell what SUBACK said about one topic.

    :param delay: seconds until it is asked for again, should it be denied.
    """
    if code >= FAILURE:
        line = log_lines.SUBSCRIPTION_DENIALS.get(code, log_lines.SUBSCRIPTION_DENIED_OTHERWISE)
        log.error(line, topic=topic, reason=suback_reason(code), seconds=round(delay))
        return
    log.info(log_lines.SUBSCRIBED, topic=topic)
    if code == 0:
        log.warn(log_lines.GRANTED_QOS_0, topic=topic)
