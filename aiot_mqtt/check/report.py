"""What was found, as text for a tired person and as JSON for a machine; and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..telemetry.bilingual import Bilingual
from .findings import Finding, Status
from .probes import BY_ID, GROUPS
from .texts import Text, own

SCHEMA = 1
EXIT_OK, EXIT_WARNING, EXIT_ERROR, EXIT_BROKEN = range(4)
ICONS = {Status.OK: "✅", Status.WARNING: "⚠️", Status.ERROR: "❌", Status.SKIPPED: "⚪", Status.UNKNOWN: "⚪"}
HEADLINES = {
    "local": "local.settings",
    "broker": "broker.login",
    "database": "database.login",
    "devices": "devices.unknown",
}
"""What a group in which all is well says in its one line."""
_INDENT = 10  # columns


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the check."""

    findings: Sequence[Finding]
    version: str
    file: str
    """The settings file; empty: there was none."""
    user: str
    language: str
    time: datetime
    seconds: float
    is_broken: bool = False
    """The check itself failed, or ran out of time."""
    wanted_user: str = ""
    """As root: the service's user, whom this host does not have."""

    @property
    def first(self) -> Finding | None:
        """What to mend first: an error before a warning, a cause before what depends on it."""
        for status in (Status.ERROR, Status.WARNING):
            for each in self.findings:
                if each.status is status:
                    return each
        return None


def exit_code(run: Run, *, errors_only: bool = False) -> int:
    """0: all well; 1: warnings; 2: an error; 3: the check itself broke. :param errors_only: warnings give 0."""
    if run.is_broken:
        return EXIT_BROKEN
    found = {each.status for each in run.findings}
    if Status.ERROR in found:
        return EXIT_ERROR
    return EXIT_WARNING if Status.WARNING in found and not errors_only else EXIT_OK


def as_json(run: Run, code: int) -> dict[str, Any]:
    """In the form that docs/check.md describes, and that stays."""
    counts = Counter(each.status for each in run.findings)
    status = "broken" if run.is_broken else run.first.status.value if run.first else Status.OK.value
    return {
        "schema": SCHEMA,
        "version": run.version,
        "time": run.time.isoformat(timespec="seconds"),
        "settings_file": run.file or None,
        "ran_as": run.user,
        "status": status,
        "exit_code": code,
        "duration_seconds": round(run.seconds, 2),
        "summary": {each.value: counts[each] for each in Status},
        "first": run.first.probe.id if run.first else None,
        "checks": [_finding_as_json(each, run.language) for each in run.findings],
    }


def _finding_as_json(finding: Finding, language: str) -> dict[str, Any]:
    item: dict[str, Any] = {"id": finding.probe.id, "group": finding.probe.group, "status": finding.status.value}
    if finding.because:
        return {**item, "because": finding.because}
    item["message"] = _in(finding.message, language)
    if finding.remedy:
        item["remedy"] = _in(finding.remedy, language)
    if finding.status is not Status.OK:
        item["doc"] = f"docs/check.md#{finding.probe.id.replace('.', '')}"
    item["values"] = {name: _plain(value) for name, value in finding.values.items()}
    return item


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, bool | int) or value is None else str(value)


def as_text(run: Run, code: int, *, verbose: bool = False) -> str:
    """For a person. :param verbose: each thing that is well has its line, too."""
    language = run.language
    file = run.file or _said(own.NO_FILE, language)
    user = _said(own.AS_ROOT, language, user=run.wanted_user) if run.wanted_user else run.user
    lines = [_said(own.HEAD, language, version=run.version, file=file, user=user)]
    for group in GROUPS:
        mine = [each for each in run.findings if each.probe.group == group]
        name = _said(own.GROUP_NAMES[group], language)
        for line in _group_lines(mine, language, verbose=verbose):
            lines.append(f"{_padded(name)}{line}")
            name = ""
    lines.append(f"{_summary(run)} {_said(own.EXIT, language, code=code)}")
    return "\n".join(lines)


def _group_lines(mine: Sequence[Finding], language: str, *, verbose: bool) -> Iterator[str]:
    well = [each for each in mine if each.status is Status.OK]
    if verbose:
        yield from (f"{ICONS[each.status]} {_in(each.message, language)}" for each in well)
    elif well:
        headline = next((each for each in well if each.probe.id == HEADLINES[each.probe.group]), well[-1])
        message = _in(headline.message, language)
        more = len(well) - 1
        yield f"{ICONS[Status.OK]} " + (_said(own.MORE_OK, language, message=message, count=more) if more else message)
    for each in mine:
        if each.status in (Status.ERROR, Status.WARNING, Status.UNKNOWN):
            yield f"{ICONS[each.status]} {_in(each.message, language)}"
            if each.remedy:
                yield f"   → {_in(each.remedy, language)}"
    skipped: dict[str, list[Finding]] = {}
    for each in mine:
        if each.status is Status.SKIPPED:
            skipped.setdefault(each.because, []).append(each)
    comma = "、" if language == "zh" else ", "
    for because, those in skipped.items():
        names = comma.join(_in(each.probe.name, language) for each in those)
        cause = _full_name(because, language)
        yield f"{ICONS[Status.SKIPPED]} {_said(own.NOT_CHECKED, language, cause=cause, names=names)}"


def _summary(run: Run) -> str:
    counts = Counter(each.status for each in run.findings)
    if run.is_broken:
        return _said(own.BROKEN, run.language)
    if run.first is not None:
        values = {"errors": counts[Status.ERROR], "warnings": counts[Status.WARNING]}
        return _said(own.RESULT, run.language, first=_full_name(run.first.probe.id, run.language), **values)
    if counts[Status.UNKNOWN]:
        return _said(own.ONLY_UNKNOWN, run.language, count=counts[Status.OK], unknown=counts[Status.UNKNOWN])
    return _said(own.ALL_WELL, run.language, count=counts[Status.OK])


def _full_name(probe: str, language: str) -> str:
    found = BY_ID[probe]
    group = _said(own.GROUP_NAMES[found.group], language)
    return f"{group}: {_in(found.name, language)}" if language == "en" else f"{group}·{_in(found.name, language)}"


def _said(text: Text, language: str, **values: Any) -> str:
    message, _ = text.filled(values)
    return _in(message, language)


def _in(words: Bilingual, language: str) -> str:
    return words.chinese if language == "zh" else str.__str__(words)


def _padded(name: str) -> str:
    """The name in its column: a Chinese character is two wide."""
    width = sum(2 if character > "\u2e7f" else 1 for character in name)
    return name + " " * max(1, _INDENT - width)
