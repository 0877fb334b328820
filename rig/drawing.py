"""What a terminal shows, as a picture for the documents."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console, RenderableType

# rich's own format names fonts on a host of somebody else's, and itself.
_FORMAT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>TITLE</title>
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; \
line-height: {line_height}px }}
.{unique_id}-title {{ font: 600 18px system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def write_picture(shown: RenderableType, path: Path, command: str, columns: int, title: str = "") -> None:
    """Write an SVG that stands alone.

    :param command: what was run; the title of the window.
    :param columns: how wide that is.
    :param title: what a screen reader says; the command, where it is empty.
    """
    console = Console(width=columns, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(shown)
    code_format = _FORMAT.replace("TITLE", title or command)
    svg = console.export_svg(title=command, code_format=code_format, unique_id="demo")
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")
