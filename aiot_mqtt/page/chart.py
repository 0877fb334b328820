"""The chart of messages a second: a picture, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence

from ..health.history import Rate
from . import words
from .markup import Markup, element, joined
from .moment import Moment
from .reader import Reader

HEIGHT = 100  # units of the picture
LATELY = 10  # s that "now" is the mean of
FEWEST = 10.0  # messages a second that the chart reaches to, at least


def chart(moment: Moment, reader: Reader, rates: Sequence[Rate], step: int, points: int) -> tuple[Markup, Markup]:
    """The picture, and what it says in words.

    :param step: seconds of a point.
    :param points: as many as it is wide.
    """
    span = reader.says(words.TEN_MINUTES if step == 1 else words.ONE_HOUR)
    shown = [rate for rate in rates if rate.at > moment.clock - step * points]
    if not shown:
        return element("p", reader.says(words.CHART_EMPTY), class_="quiet"), Markup()
    most = max(shown, key=lambda rate: rate.peak)
    # What a spool gives the table at the end of an outage would make a line on the ground of all the rest.
    top = _round(max(most.peak, FEWEST, min(2 * most.peak, max(rate.stored for rate in shown))))
    lately = moment.short[-LATELY:]
    text = reader.says(
        words.CHART_TEXT,
        received=_count(sum(rate.received for rate in lately) / max(1, len(lately))),
        stored=_count(sum(rate.stored for rate in lately) / max(1, len(lately))),
        peak=_count(most.peak),
        clock=reader.clock(moment.time(most.at)),
        span=span,
    )
    received = _line([(rate.at, rate.received) for rate in shown], moment.clock, step, points, top)
    stored = _line([(rate.at, rate.stored) for rate in shown], moment.clock, step, points, top)
    grid = [
        element("path", d=f"M0 {y}H{points}", class_="grid", vector_effect="non-scaling-stroke") for y in (0, 50, 100)
    ]
    picture = Markup(
        f'<svg viewBox="0 0 {points} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        f"{joined(*grid)}{_path('area', received[1])}{_path('received', received[0])}{_path('stored', stored[0])}</svg>"
    )
    plot = element(
        "div",
        element("span", _count(top), class_="top", aria_hidden="true"),
        picture,
        element("span", "0", class_="bottom", aria_hidden="true"),
        class_="plot",
    )
    axis = element(
        "div",
        element("span", reader.says(words.BEFORE, span=span)),
        element("span", reader.says(words.AT_NOW)),
        class_="axis",
        aria_hidden="true",
    )
    return joined(plot, axis), joined(text)


def _path(name: str, steps: str) -> str:
    return f'<path class="{name}" d="{steps}" vector-effect="non-scaling-stroke"></path>'


def _line(values: Sequence[tuple[int, float]], now: float, step: int, points: int, top: float) -> tuple[str, str]:
    """The path of a line, and of the area below it; both are broken where nobody looked."""
    last, scale = int(now) // step, HEIGHT / top
    runs: list[tuple[int, int, list[str]]] = []  # where each begins and ends, and its points
    for at, value in values:
        x = min(points, points - last + at // step)
        if runs and x - runs[-1][1] <= 1:
            began, _, run = runs.pop()
        else:
            began, run = x, []
        run.append(f"{x} {HEIGHT - round(scale * value)}")
        runs.append((began, x, run))
    lines = [(began, "M" + "L".join(run)) for began, _, run in runs]
    return "".join(line for _, line in lines), "".join(f"{line}V{HEIGHT}H{began}Z" for began, line in lines)


def _round(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 5, 8 times a power of ten."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(each * power for each in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if each * power >= value)


def _count(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"
