"""`cryptosentinel redteam run --agent` and `redteam report`: campaigns of the RedTeamAgent, and their transcripts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cryptosentinel.ledger import Ledger
    from cryptosentinel.redteam.agent import Campaign
    from cryptosentinel.redteam.steps import Scope
    from cryptosentinel.redteam.transcript import Recorded

EXIT_FOUND = 1
NO_LEDGER = "none"
GOAL, ROUNDS, AUTO = 0.9, 3, "auto"
SHOWN = 160  # characters of a step's result

Agent = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Let the RedTeamAgent choose triggers and requests, attempt by attempt: a language model behind an "
        "OpenAI-compatible endpoint, or the built-in 'planner'.",
    ),
]
AgentModel = Annotated[str, typer.Option(help="With --agent URL: the model's name; the server's first by default.")]
KeyName = Annotated[str, typer.Option(metavar="NAME", help="Environment variable with the key for --agent URL.")]
Goal = Annotated[float, typer.Option(help="With --agent: the attack success rate that ends the attempts.")]
Rounds = Annotated[int, typer.Option(help="With --agent: how often it may train, 1 to 10.")]
Reflection = Annotated[
    str, typer.Option(help="With --agent: who judges stealth: auto (--model), none (words), or a model's name.")
]
Judge = Annotated[
    str | None, typer.Option(metavar="URL", help="With --agent: an endpoint that also rates stealth from 1 to 5.")
]
LedgerUrl = Annotated[
    str | None,
    typer.Option("--ledger", metavar="URL", help="Where campaigns are kept: the configured ledger, or none."),
]


def add_commands(app: typer.Typer) -> None:
    """Give `redteam` this command."""
    app.command("report")(report)


def report(
    run: Annotated[str | None, typer.Argument(help="A campaign, as the list names it: run-12.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Take its steps again, without whoever chose them, and compare.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html and transcript.jsonl.")] = None,
    ledger: LedgerUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Show what the RedTeamAgent did: the campaigns in the ledger, or every step of one of them.

    Exit code 0: shown; with --replay the same rows and rates came out. 1: with --replay they did not. 2: no such ledger
    or campaign, or it has no step to replay. 3: the ledger cannot be read or was changed, or the sandbox cannot run.

    Example: cryptosentinel redteam report run-12 --out campaign
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.errors import ConfigError
    from cryptosentinel.files import require_folder
    from cryptosentinel.redteam.transcript import campaigns, read
    from cryptosentinel.report.campaign import render_campaign
    from cryptosentinel.services.campaign import open_ledger, write_transcript

    if ledger == NO_LEDGER:
        raise ConfigError("--ledger none has nothing to show: name a ledger, or leave it out for the configured one")
    if run is None and (replay or out is not None):
        raise ConfigError(f"{'--replay' if replay else '--out'} needs a campaign: redteam report RUN")
    book = open_ledger(ledger, create=False)
    if run is None:
        found = campaigns(book)
        if as_json:
            emit_json([{k: v for k, v in c.as_dict().items() if k != "steps"} for c in found])
        else:
            emit(listing(found))
        return
    if out is not None:
        require_folder(out)
    recorded = read(book, run)
    if replay:
        _replay(recorded, book, as_json)
        return
    if out is not None:
        write_transcript(recorded, out, render_campaign)
    if as_json:
        emit_json(recorded.as_dict())
        return
    emit(steps_of(recorded))
    if out is not None:
        emit([f"report: {out / 'report.html'}"])


def campaign_and_show(
    scope: Scope, agent: str, *, model: str, api_key_env: str, judge: str | None, ledger: str | None, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run a campaign, with a live board on a terminal, and print the result."""
    from rich.console import Console

    from cryptosentinel.cli.board import GroupBoard, closing_lines, rates_table
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.report import render_redteam
    from cryptosentinel.services.campaign import run_campaign
    from cryptosentinel.services.judge import KeptJudge

    drive, name = driver_of(agent, model, api_key_env)
    kept = KeptJudge(judge) if judge else None
    book = opened(ledger)
    with GroupBoard() as board:
        document = run_campaign(
            scope, drive, driver=name, ledger=book, judge=kept, out=out, render=render_redteam, on_progress=board
        )
    if as_json:
        emit_json(document)
        return
    console = Console()
    console.print(rates_table(document))
    emit([*closing_lines(document), *closing(document)])
    if out is not None:
        emit([f"report: {out / 'report.html'}"])


def refuse_without_agent(
    model: str, api_key_env: str, goal: float, rounds: int, reflection: str, judge: str | None, ledger: str | None
) -> None:
    """Say that an option has no effect, instead of having none.

    Raises:
        ConfigError: one that goes with --agent was given without it.
    """
    from cryptosentinel.errors import ConfigError

    given = {
        "--agent-model": model, "--api-key-env": api_key_env, "--judge": judge, "--ledger": ledger,
        "--goal": goal != GOAL, "--rounds": rounds != ROUNDS, "--reflection": reflection != AUTO,
    }  # fmt: skip
    if alone := [name for name, value in given.items() if value]:
        raise ConfigError(f"{alone[0]} goes with --agent: a plain run has no campaign")


def driver_of(agent: str, model: str, api_key_env: str) -> tuple[Callable[[Campaign], None], str]:
    """Who drives, and under which name it is written down.

    Raises:
        ConfigError: neither 'planner' nor a URL, or the key's variable is named but not set.
        JudgeError: no model behind the endpoint.
        MissingExtraError: agno or openai is not installed.
    """
    from cryptosentinel.config import load_settings
    from cryptosentinel.errors import ConfigError
    from cryptosentinel.llm import HTTPAsker
    from cryptosentinel.redteam import planner
    from cryptosentinel.services.judge import endpoint

    if agent == planner.NAME:
        if model or api_key_env:
            raise ConfigError("--agent planner asks no model: --agent-model and --api-key-env go with --agent URL")
        return planner.plan, planner.NAME
    if not agent.startswith(("http://", "https://")):
        raise ConfigError(f"--agent must be 'planner' or the URL of an endpoint, got {agent[:80]!r}")
    key = os.environ.get(api_key_env, "") if api_key_env else ""
    if api_key_env and not key:
        raise ConfigError(f"--api-key-env names {api_key_env}, which is not set")
    from cryptosentinel.adapters.agno_redteam import driver, endpoint_model

    waits = load_settings().judge
    name = HTTPAsker(agent, model, api_key=key, read_timeout_s=waits.read_timeout_s).model_name()
    made = endpoint_model(agent, name, api_key=key, timeout_s=waits.read_timeout_s, attempts=waits.attempts)
    return driver(made), f"{endpoint(agent)} {name}"


def opened(ledger: str | None) -> Ledger | None:
    """The ledger that campaigns are kept in; None for "none"."""
    from cryptosentinel.services.campaign import open_ledger

    return None if ledger == NO_LEDGER else open_ledger(ledger)


def listing(found: list[Recorded]) -> list[str]:
    """The campaigns, one a line, the last first."""
    if not found:
        return ["no campaign in this ledger: cryptosentinel redteam run --agent planner makes one"]
    lines = []
    for c in reversed(found):
        goal = c.outcome.get("goal_reached")
        reached = "" if goal is None else ", goal reached" if goal else ", goal not reached"
        again = f", replay of {c.replay_of}" if c.replay_of else ""
        what = f"{c.scope.task}, {c.scope.attack}, {c.scope.model}, seed {c.scope.seed}"
        lines.append(f"{c.run}  {clock(c.time)}  {c.driver}: {what}: {c.status}{reached}{again}")
    return lines


def steps_of(recorded: Recorded) -> Iterator[str]:
    """Every step of a campaign, for a person at a terminal."""
    from cryptosentinel.redteam.transcript import told

    yield from listing([recorded])
    if recorded.outcome.get("reason"):
        yield f"  {_short(str(recorded.outcome['reason']))}"
    for step in recorded.steps:
        said = _short(told(step.tool, step.result, step.error))
        yield f"{step.number:>3}. {step.tool}  {said} ({step.seconds:.1f} s)"


def closing(document: Mapping[str, Any]) -> list[str]:
    """What a campaign adds to the result of a run."""
    campaign, stealth = document["campaign"], document["stealth"]
    attempts = campaign["attempts"]
    reached = "reached" if campaign["goal_reached"] else "not reached"
    lines = [
        f"{campaign['driver']}: {len(attempts)} attempt{'s' if len(attempts) != 1 else ''}, the goal of "
        f"{campaign['scope']['goal']:.0%} was {reached}; shown is attempt {campaign['best']}",
        f"stealth {stealth['score']:.2f} by {stealth['by']}: "
        + ", ".join(f"{name} {value:.2f}" for name, value in stealth["parts"].items()),
    ]
    if campaign["run"]:
        lines.append(f"transcript: cryptosentinel redteam report {campaign['run']}")
    return lines


def clock(at: float) -> str:
    """A time for people, UTC.

    >>> clock(0.0)
    '1970-01-01 00:00'
    """
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def _replay(recorded: Recorded, book: Ledger, as_json: bool) -> None:
    from cryptosentinel.cli.board import GroupBoard
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.campaign import replay_campaign

    with GroupBoard() as board:
        found = replay_campaign(recorded, ledger=book, on_progress=board)
    if as_json:
        emit_json(found)
    else:
        said = "the same rows and rates came out" if found["same"] else "something else came out"
        emit([f"{recorded.run}: {found['steps']} steps taken again, {found['compared']} results compared: {said}"])
        emit(f"  step {d['step']} ({d['tool']}): {d['what']} differs" for d in found["differences"])
    if not found["same"]:
        raise typer.Exit(EXIT_FOUND)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
