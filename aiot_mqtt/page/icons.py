"""The picture of each state: a shape and a sign, which no font needs to have."""

from __future__ import annotations

from urllib.parse import quote

from ..health.state import State
from .markup import Markup

STALE = "stale"
_SHAPES = {
    State.OK.value: ("#1a7f37", '<circle cx="16" cy="16" r="15"/>', "M9 17l5 5 10-12"),
    State.LOOK.value: ("#9a6700", '<path d="M16 1l15 29H1z"/>', "M16 11v9M16 24v1"),
    State.PROTECTED.value: ("#0969da", '<path d="M16 1l13 4v10c0 8-5 13-13 16C8 28 3 23 3 15V5z"/>', "M10 16l4 4 8-9"),
    State.FAULT.value: ("#cf222e", '<path d="M10 1h12l9 9v12l-9 9H10l-9-9V10z"/>', "M10 10l12 12M22 10L10 22"),
    STALE: ("#57606a", '<path d="M4 2h24v4L19 16l9 10v4H4v-4l9-10L4 6z"/>', "M11 26h10"),
}


def icon(state: str) -> str:
    """An SVG file for the tab, in colour. :param state: a key of ``State``, or ``STALE``."""
    colour, shape, sign = _SHAPES[state]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g fill="{colour}">{shape}</g>'
        f'<path d="{sign}" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" stroke-linejoin="round"/>'
        "</svg>"
    )


def icon_address(state: str) -> str:
    """The same as an address that needs no service to be alive."""
    return "data:image/svg+xml," + quote(icon(state))


def symbol(state: str, class_: str) -> Markup:
    """The same within the page, in the colour of the text beside it and that of what is behind it (``--behind``)."""
    _, shape, sign = _SHAPES[state]
    return Markup(
        f'<svg class="symbol {class_}" viewBox="0 0 32 32" aria-hidden="true" focusable="false">{shape}'
        f'<path class="sign" d="{sign}"/></svg>'
    )
