"""What a long program shows of itself: by rich, redrawn on a terminal; elsewhere a line now and then."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import IO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_INTERVAL = 10.0  # s
SHOW_INTERVAL = 0.2  # s
BAR_COLUMNS = 20


class Display:
    """Shows how things stand on one stream.

    :ivar console: rich's, for whatever else is to be printed there.
    """

    def __init__(
        self, stream: IO[str], *, can_redraw: bool | None = None, piped_columns: int = 110, is_transient: bool = True
    ) -> None:
        """
        :param can_redraw: whether it is a terminal that can be written over; None: see for yourself.
        :param piped_columns: how wide tables are where there is no terminal.
        :param is_transient: whether nothing remains of what was redrawn.
        """
        if can_redraw is None:
            can_redraw = stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
        width = None if can_redraw else piped_columns
        self.console = Console(
            file=stream, highlight=False, emoji=False, markup=False, width=width, force_terminal=can_redraw
        )
        self._live: Live | None = None
        if can_redraw:
            self._live = Live(
                console=self.console,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                transient=is_transient,
            )
        self.next_line = 0.0
        """When there is a line next, where nothing can be redrawn, as ``show`` counts the time."""

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, soft_wrap=True)

    def show(self, frame: RenderableType, line: str, elapsed: float, interval: float = LINE_INTERVAL) -> None:
        """How it stands: the frame, or the line once in ``interval`` seconds.

        :param elapsed: seconds since something began.
        """
        if self._live is not None:
            if not self._live.is_started:
                self._live.start()
            self._live.update(frame, refresh=True)
        elif elapsed >= self.next_line:
            self.next_line = elapsed + interval
            self.say(line)

    def stop(self) -> None:
        """Redraw no more."""
        if self._live is not None:
            self._live.stop()


def bar(done: int, total: int, text: str) -> RenderableType:
    """How many of how many, and what is under way, in one line."""
    grid = Table.grid(padding=(0, 1))
    what = Text(text, no_wrap=True, overflow="ellipsis")
    grid.add_row(ProgressBar(total=total, completed=done, width=BAR_COLUMNS), f"{done}/{total}", what)
    return grid


def counting(what: str, total: int, display: Display | None = None) -> Callable[[int], None]:
    """Shows how many are done, as often as it is called with that.

    :param display: where; None: on standard error.
    """
    shown_on = display or Display(sys.stderr)
    began = shown_at = time.monotonic()
    shown_on.next_line = LINE_INTERVAL

    def done(count: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if count < total and now - shown_at < SHOW_INTERVAL:
            return
        shown_at = now
        shown_on.show(bar(count, total, what), f"{what}: {count} of {total}", now - began)
        if count >= total:
            shown_on.stop()

    return done
