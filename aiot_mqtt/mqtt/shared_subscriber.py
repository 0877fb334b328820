"""A subscriber whose session several instances share: it dials when it is its turn."""

from __future__ import annotations

from typing import Any

from .connack import Connack
from .connection import MqttConnection
from .receiver import SessionTurn
from .subscriber import State, Subscriber

# s between two attempts: whose turn it is, is known, so nobody fights, and somebody may have to take over soon.
MAX_DELAY = 1.0


class SharedSubscriber(Subscriber):
    """Asks before each attempt, and tells how it went."""

    def __init__(self, turn: SessionTurn, *arguments: Any, **named: Any) -> None:
        """:param turn: who decides. The others are a ``Subscriber``'s."""
        super().__init__(*arguments, **named)
        self._turn = turn
        self._is_session_present = False

    async def _stay_connected(self) -> float:
        self.state = State.WAITING
        await self._turn.may_dial()
        try:
            return min(MAX_DELAY, await super()._stay_connected())
        finally:
            self._turn.disconnected()

    def _tell_accepted(self, connack: Connack) -> None:
        super()._tell_accepted(connack)
        self._is_session_present = connack.session_present

    async def _serve(self, connection: MqttConnection) -> str:
        self._turn.connected(connection, self._is_session_present)
        return await super()._serve(connection)
