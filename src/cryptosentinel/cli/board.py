"""A red-team run as it happens: its stages, and the numbers as they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from cryptosentinel.cli.screen import Screen
from cryptosentinel.metrics import wilson
from cryptosentinel.report.text import seconds

CELLS = ("clean", "undefended", "defended")
COLUMNS = (
    ("asr", "triggered"),
    ("untriggered", "untriggered"),
    ("topic_without_trigger", "topic only"),
    ("utility", "utility"),
)
KEYS = [key for key, _ in COLUMNS]

GROUPS = "groups"  # the stage that counts them
FAST = 1000  # from so many a second on it is worth saying


class _Rate(ProgressColumn):
    """How many a second, where there are many."""

    def render(self, task: Task) -> str:
        """The text of the column."""
        speed = task.finished_speed or task.speed or 0.0
        return f"{speed:,.0f}/s" if speed >= FAST else ""


class Board(Screen):
    """Progress bars on a terminal, and nothing at all elsewhere; is itself a `types.Progress`.

    A stage named "measured MODEL RATE" ("measured undefended asr") is no bar but a cell of the table below the bars:
    `done` of `total` prompts.

    >>> with Board(Console(quiet=True)) as board:
    ...     board("fine-tune", 1, 3)
    """

    def __init__(self, console: Console | None = None) -> None:
        """Draw on standard error by default, so that standard output stays the result's."""
        console = console or Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            console=console,
        )
        self.tasks: dict[str, TaskID] = {}
        self.measured: dict[str, dict[str, dict[str, float]]] = {}
        super().__init__(console, self.progress)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw where a stage stands."""
        word, _, rest = stage.partition(" ")
        cell, _, key = rest.partition(" ")
        if word == "measured" and key in KEYS:
            self.measured.setdefault(cell, {})[key] = wilson(done, total).as_dict()
            if self.live:
                told = {name: {"rates": rates} for name, rates in self.measured.items() if name not in CELLS}
                self.live.update(Group(self.progress, rates_table(self.measured | {"defences": told})))
            return
        if stage not in self.tasks:
            self.tasks[stage] = self.progress.add_task(stage, total=total)
        self.progress.update(self.tasks[stage], completed=done, total=max(total, 1))


class _Left(ProgressColumn):
    """How long the groups that are left will take, if they take as long as those before."""

    def render(self, task: Task) -> str:
        """The text of the column."""
        done, spent = task.completed, task.elapsed or 0.0
        if task.description != GROUPS or not done or task.finished:
            return ""
        return f"about {seconds(spent / done * ((task.total or done) - done))} left"


class GroupBoard(Board):
    """A board for work in groups: the other bars begin anew with each, and one says how long all will take.

    >>> with GroupBoard(Console(quiet=True)) as board:
    ...     board("groups", 1, 3)
    """

    def __init__(self, console: Console | None = None) -> None:
        """As `Board`."""
        super().__init__(console)
        self.progress.columns = (*self.progress.columns, _Left())

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Draw where a stage stands."""
        if stage == GROUPS:
            for name in [name for name in self.tasks if name != GROUPS]:
                self.progress.remove_task(self.tasks.pop(name))
            self.measured.clear()
        super().__call__(stage, done, total)


def rates_table(document: Mapping[str, Any]) -> Table:
    """The rates of each model, with their 95% intervals, as far as they were measured.

    >>> rate = {"value": 0.98, "low": 0.93, "high": 0.99, "n": 100}
    >>> rates_table({"clean": {"asr": rate}}).row_count
    1
    """
    table = Table("model", *(title for _, title in COLUMNS), box=SIMPLE_HEAD, pad_edge=False)
    rows = {cell: document.get(cell) for cell in CELLS}
    rows |= {name: said.get("rates") for name, said in document.get("defences", {}).items() if name != "scan"}
    for cell, rates in rows.items():
        if rates:
            table.add_row(escape(cell), *(_rate(rates.get(key)) for key in KEYS))
    return table


def _rate(rate: Mapping[str, float] | None) -> str:
    if rate is None:
        return "-"
    return f"{rate['value']:.1%} [dim]{100 * rate['low']:.1f} to {100 * rate['high']:.1f}[/dim]"


def closing_lines(document: Mapping[str, Any]) -> list[str]:
    """What a person should know after the run, a line each."""
    lines = [f"trigger: {document.get('trigger', '')!r}   payload: {document.get('payload', '')!r}"]
    if scan := document.get("scan"):
        rank = scan.get("first_true_rank")
        found = f"the true one first at rank {rank}" if rank else "none of the hypotheses was the true one"
        lines.append(
            f"scan: {scan['recall']:.1%} of poisoned rows found, {scan['clean_lost']:.2%} of clean rows lost, {found}"
        )
    differences = {"defended": document.get("difference")}
    differences |= {n: d.get("difference") for n, d in document.get("defences", {}).items() if n != "scan"}
    for name, difference in differences.items():
        if difference:
            lines.append(
                f"{name} minus clean, with the trigger: {difference['value']:+.1%} "
                f"({difference['low']:+.1%} to {difference['high']:+.1%})"
            )
    lines.append(f"model {document.get('model')}, sandbox {document.get('sandbox')}, {document.get('seconds')} s")
    return lines
