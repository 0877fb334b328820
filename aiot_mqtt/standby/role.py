"""What an instance is, and every legal way from one to another."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from automat import TypeMachineBuilder


class Role(Enum):
    """What an instance is."""

    WATCHING = "standby"
    """It looks on, and has no connection to the session."""
    CLAIMING = "claiming"
    """It dials for the session, or has it and does not know yet whether what it says there is passed on."""
    ACTIVE = "active"
    """It has the session."""
    RELEASED = "released"
    """It has ended."""


class RoleEvents(Protocol):
    """What may happen. An event for which a role has no way is a fault of ours, and raises."""

    def claims(self) -> None:
        """It may take the session."""

    def proved(self) -> None:
        """What it said on the session's connection came back."""

    def lost(self) -> None:
        """There is no connection to the session, or none any more."""

    def released(self) -> None:
        """It ends."""


Event = Callable[[RoleEvents], None]

WAYS: tuple[tuple[Role, Event, Role], ...] = (
    (Role.WATCHING, RoleEvents.claims, Role.CLAIMING),
    (Role.CLAIMING, RoleEvents.proved, Role.ACTIVE),
    (Role.ACTIVE, RoleEvents.proved, Role.ACTIVE),
    (Role.CLAIMING, RoleEvents.lost, Role.WATCHING),
    (Role.ACTIVE, RoleEvents.lost, Role.WATCHING),
    *((role, RoleEvents.released, Role.RELEASED) for role in Role if role is not Role.RELEASED),
    (Role.RELEASED, RoleEvents.proved, Role.RELEASED),
    (Role.RELEASED, RoleEvents.lost, Role.RELEASED),
)


class Roles:
    """The role of an instance."""

    def __init__(self) -> None:
        self.now = Role.WATCHING
        self._machine = _build(self)

    def happens(self, event: Event) -> bool:
        """Something has happened, such as ``RoleEvents.claims``; returns whether the role is another one now.

        :raises NoTransition: it cannot happen in this role.
        """
        before = self.now
        getattr(self._machine, event.__name__)()
        return self.now is not before

    def enter(self, role: Role) -> None:
        """For the machine: the role is another one now."""
        self.now = role


def _builder() -> Callable[[Roles], RoleEvents]:
    builder = TypeMachineBuilder(RoleEvents, Roles)
    states = {role: builder.state(role.name) for role in Role}  # the first one is where it begins

    def entering(role: Role) -> Callable[[RoleEvents, Roles], None]:
        return lambda _events, roles: roles.enter(role)

    for old, event, new in WAYS:
        states[old].upon(event).to(states[new])(entering(new))
    return builder.build()


_build = _builder()
