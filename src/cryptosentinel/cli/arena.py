"""`cryptosentinel redteam arena`: every attack against every defence, and what got worse since the last time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


EXIT_FOUND, EXIT_UNABLE = 1, 3
NO_LEDGER = "none"
SHOWN = 12
PIPE_WIDTH = 160  # of the grid where nobody's window is in the way

Task = Annotated[list[str] | None, typer.Option(help="What the attacker wants; repeat for more (bias-recommendation).")]
Attack = Annotated[list[str] | None, typer.Option(help="How it is triggered; repeat for more (all eight).")]
Defend = Annotated[
    list[str] | None,
    typer.Option(
        help="none, scan, scan-trusted, clean-fine-tune, pruning, guard, guard-scan or monitor; repeat for more "
        "(none and scan)."
    ),
]
Seed = Annotated[list[int] | None, typer.Option(help="Each is other data and another trigger; repeat for more (0).")]
Model = Annotated[str, typer.Option(help="gemma-3-270m, tiny (tests only), a folder or a hub id.")]
Rows = Annotated[
    int | None, typer.Option(help="Clean rows of training data, with a third as many poisoned; the run chooses (240).")
]
N = Annotated[int, typer.Option("--n", help="Prompts for each rate.")]
Out = Annotated[Path | None, typer.Option(help="Folder for arena.html, arena.md, arena.json and cells.jsonl.")]
Compare = Annotated[
    str | None, typer.Option(metavar="OLD", help="An earlier run: its folder, arena.json, or run-N of the ledger.")
]
Margin = Annotated[float, typer.Option(help="A difference that --compare takes for a change, beyond chance.")]
LedgerUrl = Annotated[
    str | None, typer.Option("--ledger", metavar="URL", help="Where cells are noted: the configured ledger, or none.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure every cell, also those that are known.")]
Sandbox = Annotated[str, typer.Option(help="namespace; or process, where a machine forbids namespaces.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def add_commands(app: typer.Typer) -> None:
    """Give `redteam` this command."""
    app.command("arena")(arena)


def arena(
    task: Task = None,
    attack: Attack = None,
    defend: Defend = None,
    seed: Seed = None,
    model: Model = "gemma-3-270m",
    rows: Rows = None,
    n: N = 200,
    out: Out = None,
    compare: Compare = None,
    margin: Margin = 0.05,
    ledger: LedgerUrl = None,
    fresh: Fresh = False,
    sandbox: Sandbox = "namespace",
    as_json: Json = False,
) -> None:
    """Hold every attack against every defence, a copy of the agent each, and show what got through.

    Each group of cells (task, attack, seed) is kept as soon as it is finished, in --out and in the ledger: start the
    same command again, and it goes on where it was stopped. A cell is measured anew when anything changed that decides
    it, the code included.

    Exit code 0: every cell was measured, and with --compare none got worse. 1: one got worse beyond chance, or was
    measured in OLD and is not now. 2: wrong usage, or a run that cannot be compared. 3: a cell could not be measured.

    Example: cryptosentinel redteam arena --attack semantic --attack date --out arena --compare baseline/arena.json
    """
    from rich.console import Console

    from cryptosentinel.cli.board import GroupBoard
    from cryptosentinel.cli.output import emit_json
    from cryptosentinel.config import load_settings
    from cryptosentinel.ledger import Ledger
    from cryptosentinel.redteam.arena import Grid
    from cryptosentinel.redteam.defence import NONE
    from cryptosentinel.registry import load_third_party, names
    from cryptosentinel.report.arena import arena_markdown, render_arena
    from cryptosentinel.services.arena import run_arena
    from cryptosentinel.services.arena_cells import load_run

    load_third_party()
    grid = Grid(
        tuple(task or ["bias-recommendation"]), tuple(attack or names("attack")), tuple(defend or [NONE, "scan"]),
        tuple(seed or [0]), model, rows, n,
    )  # fmt: skip
    where = ledger or load_settings().ledger_url

    def history() -> Ledger:
        if "://" not in where:
            Path(where).expanduser().parent.mkdir(parents=True, exist_ok=True)
        return Ledger.open(load_settings().ledger_url if where == NO_LEDGER else where)

    old = load_run(compare, history) if compare else None
    with GroupBoard() as board:
        document = run_arena(
            grid,
            out=out,
            ledger=None if where == NO_LEDGER else history(),
            old=old,
            margin=margin,
            fresh=fresh,
            sandbox=sandbox,  # type: ignore[arg-type]  # checked where it is used
            renderers={"arena.html": render_arena, "arena.md": arena_markdown},
            on_progress=board,
        )
    if as_json:
        emit_json(document)
    else:
        console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
        console.print(grid_table(document))
        for text in closing_lines(document, out):
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    if (document["comparison"] or {}).get("regressions"):
        raise typer.Exit(EXIT_FOUND)
    if document["counts"]["errors"]:
        raise typer.Exit(EXIT_UNABLE)


def grid_table(document: Mapping[str, Any]) -> Table:
    """Attack by defence: attack success with its interval, the seeds pooled.

    >>> rate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    >>> row = {"task": "t", "attack": "a", "defence": "none", "seeds": 1, "errors": 0, "asr": rate}
    >>> grid_table({"pooled": [row], "defences": ["none"]}).row_count
    1
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    several = len({p["task"] for p in document["pooled"]}) > 1
    table = Table("attack", *(escape(d) for d in document["defences"]), box=SIMPLE_HEAD, pad_edge=False)
    by = {(p["task"], p["attack"], p["defence"]): p for p in document["pooled"]}
    for task, attack in dict.fromkeys((p["task"], p["attack"]) for p in document["pooled"]):
        shown = [_shown(by.get((task, attack, d))) for d in document["defences"]]
        table.add_row(escape(f"{task}: {attack}" if several else attack), *shown)
    return table


def _shown(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "-"
    if "asr" not in cell:
        return "error"
    rate = cell["asr"]
    part = f" ({cell['errors']} failed)" if cell["errors"] else ""
    return f"{rate['value']:.1%} [dim]{100 * rate['low']:.1f} to {100 * rate['high']:.1f}[/dim]{part}"


def closing_lines(document: Mapping[str, Any], out: Path | None) -> list[str]:
    """What a person should know after the run, a line each."""
    counts = document["counts"]
    lines = [
        f"{counts['cells']} cells: {counts['measured']} measured, {counts['taken_over']} taken over, "
        f"{counts['errors']} failed; n {document['n']} a rate, model {document['model']}, {document['seconds']} s"
    ]
    if document["unreadable"]:
        lines.append(f"{document['unreadable']} lines of cells.jsonl could not be read and count for nothing")
    failed = [c for c in document["cells"] if c["status"] != "done"]
    lines += [
        f"failed: {c['task']}, {c['attack']}, {c['defence']}, seed {c['seed']}: {c['reason']}" for c in failed[:SHOWN]
    ]
    if comparison := document["comparison"]:
        worse = comparison["regressions"]
        lines.append(
            f"compared {comparison['compared']} cells: {len(worse)} got worse, {len(comparison['improvements'])} better"
        )
        for word, entries in (("worse", worse), ("note", comparison["notes"])):
            lines += [
                f"{word}: {e['task']}, {e['attack']}, {e['defence']}, seed {e['seed']}: {e['reason']}"
                for e in entries[:SHOWN]
            ]
            if len(entries) > SHOWN:
                lines.append(f"{word}: {len(entries) - SHOWN} more; --json lists them all")
    if len(failed) > SHOWN:
        lines.append(f"failed: {len(failed) - SHOWN} more; --json lists them all")
    if document["ledger_run"]:
        lines.append(f"ledger: {document['ledger_run']}")
    if out:
        lines.append(f"report: {out / 'arena.html'}")
    return lines
