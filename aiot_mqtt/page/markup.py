"""HTML from texts, all of which are escaped here: whoever wrote them, none becomes markup, and none is invisible."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ..telemetry.printable import escaped

VOID = {"br", "input", "link", "meta"}  # elements without an end


class Markup(str):
    """A text that is HTML already, made by ``element`` or ``joined``."""


Content = str | Markup | None | Iterable["Content"]
Attribute = str | bool | None


def element(name: str, /, *children: Content, **attributes: Attribute) -> Markup:
    """An element, its texts and attributes escaped.

    :param attributes: True has no value, None and False are left out; ``_`` stands for ``-``, and one at the end for
        nothing, as in ``class_``.
    """
    given = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: Content) -> Markup:
    """Texts and elements one after the other, the texts escaped; None is nothing."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Content) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return str.__str__(child)
    if isinstance(child, str):
        return escape(escaped(child), quote=False)
    return "".join(_text(each) for each in child)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(escaped(value))}"'
