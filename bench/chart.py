"""The throughput as a picture that stands alone, readable on light and on dark."""

from __future__ import annotations

from html import escape
from statistics import median

from .results import Record
from .subjects import CEILINGS, SERVICE

NAMES = {
    "mosquitto_sub": ("mosquitto_sub", "receives, stores nothing"),
    "paho 3.1.1, idle": ("paho, MQTT 3.1.1", "receives, stores nothing"),
    "paho 5, idle": ("paho, MQTT 5", "receives, stores nothing"),
    SERVICE: ("aiot-mqtt", "acknowledges after the commit"),
    "Node-RED": ("Node-RED", "an UPDATE a message"),
    "asyncio": ("aiomqtt + asyncmy", "an UPDATE a message, 32 at a time"),
    "ORM": ("paho + SQLAlchemy", "a session and a commit a message"),
}
WIDTH, LEFT, RIGHT = 900, 250, 190
TOP, ROW, BAR = 56, 44, 20

STYLE = """
    text { font: 14px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600; font-size: 15px }
    .name { text-anchor: end }
    .note { font-size: 11.5px; fill: #59636e; text-anchor: end }
    .value { font-variant-numeric: tabular-nums }
    .cpu { font-size: 12px; fill: #59636e }
    rect { fill: #afb8c1 }
    .ours { fill: #1a7f37 }
    .peer { fill: #bc4c00 }
    .spread { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .note, .cpu { fill: #9198a1 }
      rect { fill: #656c76 }
      .ours { fill: #3fb950 }
      .peer { fill: #db6d28 }
      .spread { stroke: #f0f6fc }
    }
"""


def chart(results: Record) -> str:
    """Messages a second of every subject, as SVG.

    :raises KeyError: the throughput was not measured.
    """
    subjects = results["items"]["throughput"]["subjects"]
    rates = {name: [run["rate"] for run in runs] for name, runs in subjects.items()}
    cpu = {name: median(run["cpu_micros"] for run in runs) for name, runs in subjects.items()}
    scale = (WIDTH - LEFT - RIGHT) / max(max(each) for each in rates.values())
    height = TOP + ROW * len(rates) + 8
    told = "; ".join(f"{NAMES[name][0]} {median(each):,.0f}" for name, each in rates.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d">',
        '  <title id="t">Messages a second</title>',
        f'  <desc id="d">Sustained throughput on one machine, in messages a second: {escape(told)}.</desc>',
        f"  <style>{STYLE}  </style>",
        '  <text class="title" x="12" y="26">Messages a second, sustained: from the first PUBLISH to the last row '
        "stored, or message received</text>",
    ]
    for number, (name, each) in enumerate(rates.items()):
        y = TOP + number * ROW
        title, note = NAMES[name]
        kind = "ours" if name == SERVICE else "ceiling" if name in CEILINGS else "peer"
        end = LEFT + median(each) * scale
        low, high = (LEFT + value * scale for value in (min(each), max(each)))
        middle = y + BAR / 2
        parts += [
            f'  <text class="name" x="{LEFT - 10}" y="{y + 9}">{escape(title)}</text>',
            f'  <text class="note" x="{LEFT - 10}" y="{y + 24}">{escape(note)}</text>',
            f'  <rect class="{kind}" x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.1f}" height="{BAR}" rx="2"/>',
            f'  <line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
            f'  <text class="value" x="{max(end, high) + 8:.1f}" y="{y + 15}">{median(each):,.0f}'
            f'<tspan class="cpu" dx="10">{cpu[name]:,.0f} µs of CPU each</tspan></text>',
        ]
    return "\n".join([*parts, "</svg>\n"])
