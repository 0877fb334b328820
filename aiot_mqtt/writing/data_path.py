"""Where what was received goes: the states of the data path, and every legal way from one to another.

The order of states in the table rests on this. Older states go there before newer ones, so the table gets nothing while
nobody knows what is on disk, and nothing but what is on disk while anything is.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from automat import TypeMachineBuilder
from twisted.internet.defer import Deferred


class State(Enum):
    """What the data path does."""

    STOPPED = "nothing goes anywhere, not yet or not any more"
    LOOKING = "what is on disk is not known, so the table gets nothing"
    DIRECT = "nothing is on disk, so what is pending goes to the table"
    EMPTYING = "older states are on disk, and the table gets them before anything else"
    SAVING = "what waits is on its way to disk, and the table gets nothing new until that has worked or not"


class DataPathEvents(Protocol):
    """What may happen. An event for which a state has no way is a fault of ours, and raises."""

    def started(self) -> None:
        """From now on something may come."""

    def found_nothing(self) -> None:
        """The disk was looked at: there is no file."""

    def found_files(self) -> None:
        """The disk was looked at: there is at least one file."""

    def disk_failed(self) -> None:
        """A call failed, or files came or went behind our back: nobody knows what is on disk."""

    def save_began(self) -> None:
        """What waits is handed to the disk."""

    def saved(self) -> None:
        """The disk has it."""

    def emptied(self) -> None:
        """The last file is gone."""

    def stopped(self) -> None:
        """Nothing will be written any more."""


Event = Callable[[DataPathEvents], None]

WAYS: tuple[tuple[State, Event, State], ...] = (
    (State.STOPPED, DataPathEvents.started, State.LOOKING),
    (State.LOOKING, DataPathEvents.found_nothing, State.DIRECT),
    (State.LOOKING, DataPathEvents.found_files, State.EMPTYING),
    (State.DIRECT, DataPathEvents.save_began, State.SAVING),
    (State.DIRECT, DataPathEvents.disk_failed, State.LOOKING),
    (State.EMPTYING, DataPathEvents.save_began, State.SAVING),
    (State.EMPTYING, DataPathEvents.emptied, State.DIRECT),
    (State.EMPTYING, DataPathEvents.disk_failed, State.LOOKING),
    (State.SAVING, DataPathEvents.saved, State.EMPTYING),
    (State.SAVING, DataPathEvents.disk_failed, State.LOOKING),
    *((state, DataPathEvents.stopped, State.STOPPED) for state in State if state is not State.STOPPED),
)


class DataPath:
    """The state, and who waits for another one."""

    def __init__(self) -> None:
        self.state = State.STOPPED
        self._waiting: list[Deferred[None]] = []
        self._machine = _build(self)

    def happens(self, event: Event) -> None:
        """Something has happened, such as ``DataPathEvents.saved``.

        :raises NoTransition: it cannot happen in this state.
        """
        getattr(self._machine, event.__name__)()
        # Not from inside the machine, which would put off what somebody who waited makes happen at once.
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            if not deferred.called:  # or else it was cancelled
                deferred.callback(None)

    @property
    def is_known(self) -> bool:
        """Whether the disk was looked at, and nothing is on its way there."""
        return self.state is State.DIRECT or self.state is State.EMPTYING

    async def until_known(self) -> None:
        """Wait until it is known what is on disk, or all is over."""
        while self.state is State.LOOKING or self.state is State.SAVING:
            await self.changed()

    def changed(self) -> Deferred[None]:
        """Fires with the next change of state; may be cancelled."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def enter(self, state: State) -> None:
        """For the machine: the state is another one now."""
        self.state = state


def _builder() -> Callable[[DataPath], DataPathEvents]:
    builder = TypeMachineBuilder(DataPathEvents, DataPath)
    states = {state: builder.state(state.name) for state in State}  # the first one is where it begins

    def entering(state: State) -> Callable[[DataPathEvents, DataPath], None]:
        return lambda _events, path: path.enter(state)

    for old, event, new in WAYS:
        states[old].upon(event).to(states[new])(entering(new))
    return builder.build()


_build = _builder()
