"""Prometheus' text format, version 0.0.4: what ``/metrics`` answers.

Our own, because it is thirty lines: the library looks at every name and label of every scrape anew, though they stand
fast, and takes ten times as long. A test has the library read this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf, isinf, isnan

from ..telemetry.histogram import Histogram
from .catalogue import METRICS, Described

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Value = float | Mapping[str, float] | Histogram
"""By the values of the one label where there is one; with several labels, theirs stand with blanks between."""


def as_text(values: Mapping[str, Value]) -> bytes:
    """Values by the names in ``METRICS``, as text."""
    return "".join(line for name, value in values.items() for line in _lines(METRICS[name], value)).encode()


def _lines(described: Described, value: Value) -> Iterator[str]:
    name = described.full_name
    yield f"# HELP {name} {_escaped_help(described.help)}\n# TYPE {name} {described.sort}\n"
    if isinstance(value, Histogram):
        for bound, count in value.cumulative():
            yield f'{name}_bucket{{le="{bound}"}} {_number(count)}\n'
        yield f"{name}_count {_number(value.total())}\n{name}_sum {_number(value.sum)}\n"
    elif isinstance(value, Mapping):
        labels = described.labels
        for label_values, each in value.items():
            pairs = zip(labels, label_values.split(" ") if len(labels) > 1 else [label_values], strict=True)
            shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in pairs)
            yield f"{name}{{{shown}}} {_number(each)}\n"
    else:
        yield f"{name} {_number(value)}\n"


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escaped(text: str) -> str:
    return _escaped_help(text).replace('"', r"\"")


def _number(value: float) -> str:
    """As Go reads it, whose words for what is no number differ from Python's."""
    if isinf(value):
        return "+Inf" if value == inf else "-Inf"
    return "NaN" if isnan(value) else repr(float(value))
