"""A long run as a picture that stands alone, readable on light and on dark: lateness and memory over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from .chart import STYLE
from .soak import MEGABYTE

WIDTH, LEFT, RIGHT = 900, 64, 24
TOP, PANEL, GAP = 64, 130, 54
AXIS = 34
WORDS = {
    "en": {
        "title": "{devices:,} devices, {rate:,.0f} messages a second, for {minutes:.0f} minutes",
        "lag": "Seconds by which the row that is worst off of 200 devices lags",
        "memory": "Memory of the service, MB",
        "axis": "minutes",
    },
    "zh-CN": {
        "title": "{devices:,} 台设备，每秒 {rate:,.0f} 条消息，持续 {minutes:.0f} 分钟",
        "lag": "200 台设备中最落后的一行落后的秒数",
        "memory": "本服务的内存（MB）",
        "axis": "分钟",
    },
}
LINES = """
    path { fill: none; stroke: #1a7f37; stroke-width: 1.5; stroke-linejoin: round }
    .grid { stroke: #d1d9e0; stroke-width: 1 }
    .tick { font-size: 12px; fill: #59636e }
    .left { text-anchor: end }
    .middle { text-anchor: middle }
    @media (prefers-color-scheme: dark) {
      path { stroke: #3fb950 }
      .grid { stroke: #3d444d }
      .tick { fill: #9198a1 }
    }
"""


def hour_chart(soaked: Mapping[str, Any], language: str) -> str:
    """Lateness and memory of a ``Soak``, given as the dictionary that is saved, as SVG.

    :param language: of its words, one of ``WORDS``.
    """
    words, moments = WORDS[language], soaked["moments"]
    longest: float = max(each["seconds"] for each in moments)
    title = words["title"].format(devices=soaked["devices"], rate=soaked["rate"], minutes=longest / 60)
    panels: list[tuple[str, list[float]]] = [
        (words["lag"], [each["lag"] for each in moments]),
        (words["memory"], [each["memory"] / MEGABYTE for each in moments]),
    ]
    told = "; ".join(f"{name}: {min(values):,.0f}–{max(values):,.0f}" for name, values in panels)
    height = TOP + len(panels) * (PANEL + GAP) - GAP + AXIS

    def across(seconds: float) -> float:
        return LEFT + seconds / longest * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'  <title id="t">{escape(title)}</title>',
        f'  <desc id="d">{escape(told)}.</desc>',
        f"  <style>{STYLE}{LINES}  </style>",
        f'  <text class="title" x="12" y="24">{escape(title)}</text>',
    ]
    times = [each["seconds"] for each in moments]
    for number, (name, values) in enumerate(panels):
        parts += _panel(name, times, values, TOP + number * (PANEL + GAP), across)
    bottom = height - AXIS
    for minutes in range(0, int(longest // 60) + 1, _step(longest / 60)):
        parts.append(f'  <text class="tick middle" x="{across(minutes * 60):.1f}" y="{bottom + 18}">{minutes}</text>')
    parts.append(f'  <text class="tick left" x="{WIDTH - RIGHT}" y="{height - 2}">{words["axis"]}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    name: str, times: Sequence[float], values: Sequence[float], top: float, across: Callable[[float], float]
) -> list[str]:
    step = _step(max(values))
    highest = step * -(-max(*values, 1) // step)
    bottom = top + PANEL

    def down(value: float) -> float:
        return bottom - value / highest * PANEL

    parts = [f'  <text x="12" y="{top - 12}">{escape(name)}</text>']
    for value in range(0, int(highest) + 1, step):
        y = down(value)
        parts += [
            f'  <line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'  <text class="tick left" x="{LEFT - 8}" y="{y + 4:.1f}">{value}</text>',
        ]
    points = " ".join(f"{across(at):.1f},{down(value):.1f}" for at, value in zip(times, values, strict=True))
    return [*parts, f'  <path d="M{points}"/>']


def _step(most: float) -> int:
    """Between two numbers of an axis, so that there are at most six."""
    return next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if most <= 5 * step)
