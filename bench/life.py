"""What docs/life-of-a-message.md is told: the cost of each step, the sum, and a picture of both."""

from __future__ import annotations

from html import escape
from statistics import median

from .chart import STYLE
from .held_up import FULL_LOAD
from .page import conditions, table
from .results import Record, spread
from .steps import STEPS
from .subjects import SERVICE

WIDTH, LEFT, RIGHT = 900, 230, 70
HEAD, ROW, BAR = 46, 21, 14
LEGEND = (("ours", "in the reactor's thread"), ("peer", "in a thread of the pool"), ("rest", "no step of a message"))
REST = {"(other)": "the reactor's thread, elsewhere", "(other threads)": "the threads of the pool"}


def texts(results: Record) -> dict[str, str]:
    """For each mark in the document what stands there.

    :raises KeyError: ``profile`` or ``waits`` was not measured.
    """
    micros, waits = _micros(results), _waits(results)
    costs = {
        name: " · ".join(
            [f"**{_middle(micros.get(name, []))} µs**"]
            + [f"{_middle(each[name])} ms {when}" for when, each in waits.items() if name in each]
        )
        for name in STEPS
    }
    return {**costs, "sum": f"\n{_sum(results)}\n"}


def _micros(results: Record) -> dict[str, list[float]]:
    """Of CPU a message, in each round; what belongs to no step has its name in brackets."""
    found: dict[str, list[float]] = results["items"]["profile"]["notes"]["step_micros"]
    return found


def _waits(results: Record) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each load and step, in each round."""
    found: dict[str, dict[str, list[float]]] = results["items"]["waits"]["notes"]["step_milliseconds"]
    return found


def _title(name: str) -> str:
    if name in STEPS:
        return STEPS[name].title
    return f"rest: {REST.get(name, name.strip('()'))}"


def _middle(values: list[float]) -> str:
    return spread([median(values)]) if values else spread([])


def _sum(results: Record) -> str:
    micros, waits = _micros(results), _waits(results)
    names = [*STEPS, *sorted((name for name in micros if name not in STEPS), key=lambda name: -median(micros[name]))]
    body = [
        [
            _title(name),
            spread(micros.get(name, [])),
            *(_middle(each[name]) if name in each else "" for each in waits.values()),
        ]
        for name in names
        if name in STEPS or median(micros[name]) >= 0.005
    ]
    whole, unsampled = (
        [run["cpu_micros"] for run in results["items"][item]["subjects"].get(subject, [])]
        for item, subject in (("profile", SERVICE), ("waits", FULL_LOAD))
    )
    totals = [_middle([sum(each) for each in zip(*steps.values(), strict=True)]) for steps in waits.values()]
    body.append(["**the whole process**", f"**{spread(whole)}**", *(f"**{total}**" for total in totals)])
    told = [
        table(["", "µs of CPU a message", *(f"ms, {when}" for when in waits)], body),
        f"In the runs for the waits, without the sampler, the process took {spread(unsampled)} µs a message.",
        conditions(results, results["scale"]["profile_messages"]),
    ]
    return "\n\n".join(told)


def picture(results: Record) -> str:
    """One message as flights of stairs, each step as wide as it is long, as SVG.

    :raises KeyError: as ``texts``.
    """
    flights = [("Work, µs of CPU a message", _micros(results))]
    flights += [(f"Waiting {when}, ms", each) for when, each in _waits(results).items()]
    parts: list[str] = []
    told: list[str] = []
    y = 8
    for title, measured in flights:
        steps = {name: median(measured[name]) for name in STEPS if name in measured}
        steps["rest"] = sum(median(values) for name, values in measured.items() if name not in STEPS)
        if not steps["rest"]:
            del steps["rest"]
        total = sum(steps.values())
        parts.append(f'  <text class="title" x="12" y="{y + 22}">{title}: {spread([total])}</text>')
        told.append(f"{title}: {spread([total])}")
        y += HEAD - 12
        done = 0.0
        for name, value in steps.items():
            parts += _stair(name, value, done / total, value / total, y)
            done += value
            y += ROW
        y += HEAD - 34
    x = LEFT
    for kind, name in LEGEND:
        parts.append(f'  <rect class="{kind}" x="{x}" y="{y}" width="{BAR}" height="{BAR}" rx="2"/>')
        parts.append(f'  <text class="cpu" x="{x + BAR + 6}" y="{y + 11}">{name}</text>')
        x += 200
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + BAR + 10}" role="img"'
            ' aria-labelledby="t d">',
            '  <title id="t">The life of a message</title>',
            f'  <desc id="d">What each step from PUBLISH to PUBACK costs. {escape("; ".join(told))}.</desc>',
            f"  <style>{STYLE}  </style>",
            *parts,
            "</svg>\n",
        ]
    )


def _stair(name: str, value: float, begins: float, width: float, y: int) -> list[str]:
    scale = WIDTH - LEFT - RIGHT
    x, end = LEFT + begins * scale, LEFT + (begins + width) * scale
    kind = "rest" if name not in STEPS else "peer" if STEPS[name].in_thread else "ours"
    title = "the rest" if name not in STEPS else STEPS[name].title
    return [
        f'  <text class="name" x="{LEFT - 10}" y="{y + 12}">{escape(title)}</text>',
        f'  <rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(end - x, 1):.1f}" height="{BAR}" rx="2"/>',
        f'  <text class="cpu" x="{end + 6:.1f}" y="{y + 11}">{spread([value])}</text>',
    ]
