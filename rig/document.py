"""Puts what was measured into documents, between marks; what stands around them is written by hand."""

from __future__ import annotations

from pathlib import Path


def fill_in(path: Path, begin: str, end: str, text: str) -> None:
    """Put a text in the place of the older one between two marks.

    :raises ValueError: the marks are not there.
    """
    before, found_begin, rest = path.read_text("utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"{path} has no {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}{end}{after}", "utf-8")
