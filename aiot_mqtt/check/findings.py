"""What the probes found, in the order in which one thing depends on another. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..telemetry.bilingual import Bilingual
from .probes import ALL, BY_ID, GROUPS, Probe
from .texts import Text, own


class Status(Enum):
    """What a probe says."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"
    """Not looked at, because what it needs has failed."""
    UNKNOWN = "unknown"
    """It cannot be seen from here; never taken for ok."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a probe found."""

    probe: Probe
    status: Status
    message: Bilingual
    remedy: Bilingual | None = None
    """The one thing to do."""
    values: Mapping[str, Any] = field(default_factory=dict)
    because: str = ""
    """Of one that was skipped: the id of the probe that is the cause."""


class Findings:
    """Collects them. May be filled from several threads, each of which keeps to probes of its own."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self.breakdowns: list[str] = []
        """What of the check itself failed, as a traceback or a sentence."""

    def ok(self, probe: str, text: Text, **values: Any) -> None:
        """It is as it should be."""
        self._add(probe, Status.OK, text, values)

    def warning(self, probe: str, text: Text, **values: Any) -> None:
        """It works, and is not as it should be."""
        self._add(probe, Status.WARNING, text, values)

    def error(self, probe: str, text: Text, **values: Any) -> None:
        """It does not work; what depends on it is not looked at."""
        self._add(probe, Status.ERROR, text, values)

    def unknown(self, probe: str, text: Text, **values: Any) -> None:
        """It cannot be seen from here."""
        self._add(probe, Status.UNKNOWN, text, values)

    def _add(self, probe: str, status: Status, text: Text, values: Mapping[str, Any]) -> None:
        message, remedy = text.filled(values)
        # Of an ok there is nothing to do, whatever the text for the same thing in a bad case says.
        self._found.append(Finding(BY_ID[probe], status, message, None if status is Status.OK else remedy, values))

    def take(self, others: Findings) -> None:
        """Have what somebody else collected, too."""
        self._found += others._found

    @property
    def first_error(self) -> Bilingual:
        """What is said of the first thing that does not work; there is one."""
        return next(each.message for each in self._found if each.status is Status.ERROR)

    def broke(self, group: str, what: str) -> None:
        """The check itself failed in this group."""
        self.breakdowns.append(what)
        missing = next((each for each in ALL if each.group == group and not self.has(each.id)), None)
        if missing is not None:
            self.unknown(missing.id, own.BROKE, error=what.strip().splitlines()[-1])

    def has(self, probe: str) -> bool:
        """Whether anything was found of it."""
        return any(each.probe.id == probe for each in self._found)

    def failed(self, probe: str) -> bool:
        """Whether it has an error."""
        return any(each.probe.id == probe and each.status is Status.ERROR for each in self._found)

    def value(self, probe: str, name: str) -> Any:
        """What was found of it under a name; None: nothing."""
        return next((each.values[name] for each in self._found if each.probe.id == probe and name in each.values), None)

    def complete(self, only: Iterable[str] = GROUPS) -> list[Finding]:
        """All of them in the order of dependency, with those that had no chance.

        :param only: the groups that were asked for; a cause for which one of them was skipped is told, too.
        """
        groups = {*only}
        found: list[Finding] = []
        causes: dict[str, str] = {}
        for probe in ALL:
            mine = [each for each in self._found if each.probe is probe]
            cause = next((causes[each] for each in probe.needs if each in causes), None)
            if any(each.status is Status.ERROR for each in mine):
                causes[probe.id] = probe.id
            elif cause is not None:
                causes[probe.id] = cause  # also of what was seen before that went wrong
                mine = mine or [Finding(probe, Status.SKIPPED, Bilingual("", ""), because=cause)]
            elif not mine and not probe.is_optional:
                message, _ = own.NOT_REACHED.filled({})
                mine = [Finding(probe, Status.UNKNOWN, message)]
            found += mine
        shown = {each.because for each in found if each.probe.group in groups}
        return [each for each in found if each.probe.group in groups or (each.probe.id in shown and not each.because)]
