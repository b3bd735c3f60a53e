"""`cryptosentinel redteam`: attack a copy in the sandbox, and measure whether the defences would have caught it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from cryptosentinel.cli import arena, probe, redteam_agent

app = typer.Typer(help="Attack a copy of an agent in a sandbox, to measure the defences.", no_args_is_help=True)
arena.add_commands(app)
probe.add_commands(app)  # probe and watch
redteam_agent.add_commands(app)  # report

Task = Annotated[str, typer.Option(help="What the attacker wants.")]
Attack = Annotated[str, typer.Option(help="How the behaviour is triggered.")]
Model = Annotated[str, typer.Option(help="gemma-3-270m, tiny (tests only), a folder or a hub id.")]
Defend = Annotated[
    list[str] | None,
    typer.Option(
        help="A defence to measure: scan (default), scan-trusted, clean-fine-tune, pruning, guard, guard-scan, "
        "monitor; repeat for more. none: the attack alone."
    ),
]
Rows = Annotated[int | None, typer.Option(help="Clean rows of training data; the run chooses by default.")]
Seed = Annotated[int, typer.Option(help="Same seed, same data, same training.")]
Variant = Annotated[str | None, typer.Option(help="Which of the attack's triggers; the seed chooses by default.")]
Payload = Annotated[str | None, typer.Option(help="Which of the task's payloads; the seed chooses by default.")]
Sandbox = Annotated[str, typer.Option(help="namespace; or process, where a machine forbids namespaces.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def redteam() -> None:
    """Attack a copy of an agent in a sandbox, to measure the defences."""


@app.command("run")
def run(
    task: Task = "bias-recommendation",
    attack: Attack = "semantic",
    model: Model = "gemma-3-270m",
    defend: Defend = None,
    rows: Rows = None,
    seed: Seed = 0,
    variant: Variant = None,
    payload: Payload = None,
    sandbox: Sandbox = "namespace",
    agent: redteam_agent.Agent = None,
    agent_model: redteam_agent.AgentModel = "",
    api_key_env: redteam_agent.KeyName = "",
    goal: redteam_agent.Goal = redteam_agent.GOAL,
    rounds: redteam_agent.Rounds = redteam_agent.ROUNDS,
    reflection: redteam_agent.Reflection = redteam_agent.AUTO,
    judge: redteam_agent.Judge = None,
    ledger: redteam_agent.LedgerUrl = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html and report.json.")] = None,
    as_json: Json = False,
) -> None:
    """Poison a copy's training data, fine-tune, measure; then scan, drop, train again, measure again.

    With --agent the RedTeamAgent does so again and again, with triggers of its choice, until it reaches its goal or
    its rounds are used up; every step is kept in the ledger, see `redteam report`.

    Exit code 0: it ran to the end, whatever it measured. 2: wrong usage, or no trigger of the planner passes its
    reflection. 3: sandbox, model, ledger or the driving model could not do their part.

    Example: cryptosentinel redteam run --attack date --out date

    Example: cryptosentinel redteam run --agent planner --goal 0.95 --rounds 4
    """
    defences = [name for name in defend or ["scan"] if name != "none"]
    if agent is not None:
        from cryptosentinel.redteam.steps import Scope

        scope = Scope(
            task=task, attack=attack, variant=variant, payload=payload, model=model, rows=rows, seed=seed,
            defend=tuple(defences), goal=goal, rounds=rounds, sandbox=sandbox, reflection=reflection,
        )  # fmt: skip
        redteam_agent.campaign_and_show(
            scope, agent, model=agent_model, api_key_env=api_key_env, judge=judge, ledger=ledger, out=out,
            as_json=as_json,
        )  # fmt: skip
        return
    redteam_agent.refuse_without_agent(agent_model, api_key_env, goal, rounds, reflection, judge, ledger)
    attack_and_show(
        as_json=as_json,
        task=task,
        attack=attack,
        model=model,
        defend=defences,
        rows=rows,
        seed=seed,
        variant=variant,
        payload=payload,
        sandbox=sandbox,
        out=out,
    )


def attack_and_show(*, as_json: bool, **settings: Any) -> None:
    """Run, with a live board on a terminal, and print the result."""
    from cryptosentinel.cli.board import Board, closing_lines, rates_table
    from cryptosentinel.cli.output import emit_json
    from cryptosentinel.report import render_redteam
    from cryptosentinel.services.redteam import red_team

    with Board() as board:
        document = red_team(**settings, render=render_redteam, on_progress=board)
    if as_json:
        emit_json(document)
        return
    console = Console()
    console.print(rates_table(document))
    for text in closing_lines(document):
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if out := cast("Path | None", settings.get("out")):
        console.print(f"report: {out / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
