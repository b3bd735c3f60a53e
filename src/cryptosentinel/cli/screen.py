"""What is drawn while a command works: on a terminal, and nowhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live


class Screen:
    """Something that is drawn again and again while work goes on; `live` is None where nobody would see it.

    >>> with Screen(Console(quiet=True)) as screen:
    ...     screen.live is None
    True
    """

    live: Live | None = None

    def __init__(self, console: Console | None = None, first: RenderableType = "", *, per_second: float = 4) -> None:
        """Draw on standard error by default, so that standard output stays the result's."""
        console = console or Console(stderr=True)
        if console.is_terminal:
            self.live = Live(first, console=console, refresh_per_second=per_second)

    def __enter__(self) -> Self:
        """Start drawing."""
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing; what was drawn stays."""
        if self.live:
            self.live.stop()
