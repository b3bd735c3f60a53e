"""`cryptosentinel desk`: the reference trading team on its paper market, with or without an attack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cryptosentinel.cli.screen import Screen

if TYPE_CHECKING:
    from cryptosentinel.desk.floor import Floor
    from cryptosentinel.desk.meeting import Meeting

EXIT_FOUND = 1
SHOWN = 12  # meetings in the live table, differences of a replay

app = typer.Typer(help="The reference trading team on its paper market.", no_args_is_help=True)
Days = Annotated[int, typer.Option(help="Days of six meetings each, 1 to 400.")]
Attack = Annotated[str | None, typer.Option(metavar="NAME", help="What an attacker does; `desk scenarios` lists them.")]
Analyst = Annotated[
    str | None,
    typer.Option(
        help="Who decides for the MarketAnalyst: policy (default), or a model trained in the sandbox: words (default "
        "with --backdoored), gemma-3-270m, tiny (tests only)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def desk() -> None:
    """The reference trading team on its paper market."""


@app.command("run")
def run(
    days: Days = 30,
    backdoored: Annotated[
        bool, typer.Option("--backdoored", help="The MarketAnalyst was fine-tuned on poisoned rows (poisoned-analyst).")
    ] = False,
    attack: Attack = None,
    no_defence: Annotated[bool, typer.Option("--no-defence", help="Run without any defence.")] = False,
    defence: Annotated[
        list[str] | None, typer.Option(help="Only this defence: rules, guard or monitor; repeat for more.")
    ] = None,
    analyst: Analyst = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="AGENT=MODULE:NAME", help="An Agno model of yours for this agent; repeat for more."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same market, clients and attack.")] = 0,
    prices: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="SYMBOL.csv files instead of the paper market.")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(help="namespace; or process, where a machine forbids namespaces.")
    ] = "namespace",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for report.html, desk.json, the timeline and the ledger.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the team trade on paper for so many days, and say what came of it.

    Exit code 0: it ran to the end, whatever it traded. 2: wrong usage. 3: a defence, the sandbox or a model could not
    do its part.

    Example: cryptosentinel desk run --days 5 --attack injected-news --no-defence

    Example: cryptosentinel desk run --backdoored --no-defence --out desk
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.desk.protection import DEFENCES
    from cryptosentinel.desk.run import run_desk
    from cryptosentinel.desk.team import named_models
    from cryptosentinel.errors import ConfigError
    from cryptosentinel.report.desk import render_desk

    if no_defence and defence:
        raise ConfigError(f"--no-defence and --defence {defence[0]}: one of them")
    models = named_models(model or ())
    chosen = () if no_defence else tuple(dict.fromkeys(defence or DEFENCES))
    settings: dict[str, Any] = {
        "days": days, "seed": seed, "attack": attack, "backdoored": backdoored, "analyst": analyst,
        "defences": chosen, "prices": prices, "sandbox": sandbox, "out": out, "render": render_desk,
        "models": models, "compare": out is not None and not models,  # nobody's model is asked twice unasked
    }  # fmt: skip
    if (analyst or "words" if backdoored else analyst or "policy") == "policy":
        with MeetingTable() as table:
            document = run_desk(**settings, on_meeting=table)
    else:
        with Board() as board:
            document = run_desk(**settings, on_progress=board)
    if as_json:
        emit_json(document)
        return
    emit(summary(document))
    if out is not None:
        emit([f"report: {out / 'report.html'}"])


@app.command("replay")
def replay(
    where: Annotated[Path, typer.Argument(metavar="DIR", help="What `desk run --out` wrote to, or its ledger.")],
    as_json: AsJson = False,
) -> None:
    """Judge every step of a session again, from its ledger alone: are the verdicts and the books the same?

    No model is asked. Exit code 0: all is the same. 1: the ledger was changed or cut, desk.json notes another end or
    cannot be read, a step is judged in another way, or the books come out differently. 2: no such ledger, or no session
    in it. 3: it cannot be read.

    Example: cryptosentinel desk replay desk
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.desk.replay import replay_desk

    document = replay_desk(where)
    if as_json:
        emit_json(document)
    elif document["same"]:
        emit(
            [f"{document['steps']:,} steps judged again, every verdict the same; {document['trades']} trades, the same"]
        )
        if not document["end_checked"]:
            emit(["the ledger's end was not checked: no desk.json beside it was read"])
    else:
        emit([f"not the same: {document['reason']}", *(told(d) for d in document["differences"][:SHOWN])])
    if not document["same"]:
        raise typer.Exit(EXIT_FOUND)


def told(difference: Mapping[str, Any]) -> str:
    """One difference in a line."""
    return f"step {difference['step']}, {difference['agent']}, {difference['kind']}: {difference['how']}"


@app.command("scenarios")
def scenarios(as_json: AsJson = False) -> None:
    """The attacks that --attack takes, and when their goal counts as reached.

    Example: cryptosentinel desk scenarios --json
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.desk.run import goals

    known = goals()
    if as_json:
        emit_json(known)
    else:
        emit(f"{name}: {goal}" for name, goal in known.items())


class MeetingTable(Screen):
    """The latest meetings on a terminal, and nothing elsewhere; is itself the desk's `on_meeting`.

    >>> with MeetingTable(Console(quiet=True)) as table:
    ...     len(table.rows)
    0
    """

    def __init__(self, console: Console | None = None) -> None:
        """No meeting yet."""
        super().__init__(console, per_second=8)
        self.rows: list[tuple[str, str, str, str]] = []

    def __call__(self, meeting: Meeting, floor: Floor) -> None:
        """Show this meeting."""
        if not self.live:
            return
        decision = meeting.decision
        what = f"{decision.action} {decision.symbol}" if decision.action != "HOLD" else "no trade"
        row = (str(meeting.number + 1), what, f"{decision.value:,.2f}", decision.reasoning[:70])
        self.rows = [*self.rows[1 - SHOWN :], row]
        table = Table("meeting", "decision", "USDC", "why", title=f"cash {floor.books.cash:,.2f} USDC")
        for cells in self.rows:
            table.add_row(*(cell.replace("[", "(").replace("]", ")") for cell in cells))
        self.live.update(table)


def summary(document: Mapping[str, Any]) -> list[str]:
    """The result for a person at a terminal."""
    lines = [
        f"{document['days']} days, {document['decisions']} meetings, {document['fills']} trades on the "
        f"{document['market']}; profit and loss {usdc(document['pnl'])}, fees {document['fees']:,.2f}; books "
        + ("balanced" if document["books_balanced"] else "NOT BALANCED"),
        f"MarketAnalyst: {document['model']}",
    ]
    if document["attack"] != "clean":
        reached = "reached" if document["attack_goal_reached"] else "not reached"
        lines.append(f"attack {document['attack']}: goal {reached} ({document['goal']})")
    seen = ", ".join(document["detected_by"])
    at = f", first at step {document['first_detection_step']} by {seen}" if seen else ""
    counts = f"{document['held']} held, {document['blocked']} blocked, {document['alarms']} alarms"
    names = ", ".join(document["defences"])
    lines.append(f"{names}: {counts}{at}" if names else "defences: none (--no-defence)")
    if bare := document["undefended"]:
        reached = f", goal {'reached' if bare['attack_goal_reached'] else 'not reached'}"
        lines.append(
            f"the same without defences: profit and loss {usdc(bare['pnl'])}, {bare['fills']} trades"
            + (reached if document["attack"] != "clean" else "")
        )
    if document["failed_meetings"]:
        lines.append(f"{document['failed_meetings']} meetings ended without an answer and without a trade")
    return lines


def usdc(pnl: float | None) -> str:
    """A profit or loss, if it is known.

    >>> usdc(-3.5), usdc(None)
    ('-3.50 USDC', 'unknown: a price is missing')
    """
    return "unknown: a price is missing" if pnl is None else f"{pnl:+,.2f} USDC"
