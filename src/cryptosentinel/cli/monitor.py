"""`cryptosentinel monitor`: has an agent's behaviour changed?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_FOUND = 1
MOST_LINES = 12

app = typer.Typer(help="Has an agent's behaviour changed, with a stated rate of false alarms?", no_args_is_help=True)
Events = Annotated[list[Path], typer.Argument(metavar="EVENTS...", help="Decisions in order: JSONL, also .gz or .zst.")]
Baseline = Annotated[
    list[Path], typer.Option("--baseline", metavar="EVENTS", help="How the agents decide when all is well; repeatable.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML: the budget of false alarms, and the features.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def monitor() -> None:
    """Has an agent's behaviour changed, with a stated rate of false alarms?"""


@app.command("replay")
def replay(
    events: Events,
    baseline: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="EVENTS",
            help="How the agents decide when all is well; repeatable. Needed but where --ledger has the watch.",
        ),
    ] = None,
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSONL of alarms; rejects.jsonl is written beside it.")
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Keep every decision, alarm and state in this ledger (file or URL): the same command goes on where it "
            "was stopped, and takes no decision twice. Another baseline or config is refused.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Which watch of the ledger this is.")] = "monitor",
    webhook: Annotated[
        str, typer.Option(metavar="URL", help="An Alertmanager told of alarms that go on and off (with --ledger).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Hold recorded decisions against a baseline; one line for each alarm.

    Without --config each attribute of each agent is a stream by its type (text: categories, true or false: a rate, a
    number: a mean on the baseline's range), and all streams together raise one false alarm in 10,000 decisions on
    average, or fewer.

    An event is one line such as

    \b
      {"id": "e7", "time": "2026-11-23T09:00:00Z", "agent": "Trader", "kind": "decision",
       "attributes": {"asset": "ETH", "size": 250.0, "low_liquidity": false}}

    Exit code 0: no alarm. 1: alarms. 2: nothing readable. 3: nothing could be watched.

    Example: cryptosentinel monitor replay today.jsonl --baseline last-month.jsonl --out alarms.jsonl
    """  # noqa: D301  a real backspace keeps the example's lines apart
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.files import require_file
    from cryptosentinel.services.monitor import replay_events
    from cryptosentinel.services.monitor_keep import keep_events

    if webhook and ledger is None:
        raise typer.BadParameter("needs --ledger, which remembers what was delivered", param_hint="--webhook")
    if not baseline and ledger is None:
        raise typer.BadParameter("missing: only a watch that --ledger has goes on without", param_hint="--baseline")
    if out is not None:
        require_file(out)
    with Board() as board:
        if ledger is None:
            document = replay_events(events, baseline or [], config, out, on_progress=board)
        else:
            document = keep_events(
                events, baseline or [], config, ledger, name, out=out, webhook=webhook, on_progress=board
            )  # fmt: skip
    if as_json:
        emit_json(document)
    elif out is not None:
        emit(summary(document))
        emit([f"alarms: {out}"])
    else:
        emit(json.dumps(alarm, allow_nan=False) for alarm in document["alarms"])
        for line in summary(document):
            typer.echo(line, err=True)
    if document["alarms"]:
        raise typer.Exit(EXIT_FOUND)


@app.command("explain")
def explain(
    events: Events,
    baseline: Baseline,
    config: Config = None,
    agent: Annotated[str, typer.Option(help="Only this agent's streams.")] = "",
    stream: Annotated[str, typer.Option(help="Only streams of this name.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An HTML page with a chart of each stream; FILE.svg: one chart.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the evidence of each stream grew, decision by decision, and what its alarms say.

    Exit code 0 where it ran, alarms or not. 2: nothing readable, or no such stream. 3: nothing could be watched.

    Example: cryptosentinel monitor explain today.jsonl --baseline last-month.jsonl --stream asset --out asset.html
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.files import atomic_write, require_file
    from cryptosentinel.report.monitor import render_monitor, svg_of, text_of
    from cryptosentinel.services.monitor_explain import explain_events

    if out is not None:
        require_file(out)
    document = explain_events(events, baseline, config, agent=agent, stream=stream)
    if out is not None:
        atomic_write(out, svg_of(document) if out.suffix == ".svg" else render_monitor(document))
    if as_json:
        emit_json(document)
    else:
        emit(text_of(document))
        emit([f"page: {out}"] if out is not None else [])


@app.command("status")
def status(
    ledger: Annotated[str, typer.Option(metavar="WHERE", help="The ledger that `replay --ledger` keeps.")],
    name: Annotated[str, typer.Option(help="Only this watch.")] = "",
    metrics: Annotated[bool, typer.Option("--metrics", help="As text for Prometheus.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how the watches of a ledger stand: decisions, the evidence of each stream, alarms that are on.

    Exit code 0: it could be read, alarms or not. 2: no such ledger or watch. 3: it cannot be read.

    Example: cryptosentinel monitor status --ledger desk.db
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.monitor_keep import status_of

    document = status_of(ledger, name)
    if metrics:
        emit([document["metrics"].rstrip("\n")])
    elif as_json:
        emit_json({k: v for k, v in document.items() if k != "metrics"})
    else:
        for watch, said in document["watches"].items():
            late = said["counts"].get("late", 0)
            emit([f"{watch}: {said['decisions']} decisions ({late} late), {said['alarms']} alarms so far"])
            for s in sorted(said["streams"], key=_urgency):
                share = f"{s['peak_evidence'] / s['threshold']:.2g} of the threshold at most"
                state = "ALARM" if s["alarming"] else "quiet" if s["watched"] else "blind"
                stream = f"{s['agent']}: {s['stream']} ({s['detector']}), {s['decisions']} decisions, {share}"
                lost = "" if s["watched"] else "; not watched any more"
                emit([f"  {state}  {', '.join([stream, *_counted(s)])}{lost}"])


def _urgency(stream: Mapping[str, Any]) -> tuple[bool, bool, float]:
    """Alarms come first, then what is not watched any more, then the most evidence."""
    return not stream["alarming"], stream["watched"], -stream["peak_evidence"] / stream["threshold"]


def _counted(stream: Mapping[str, Any]) -> list[str]:
    """What was special about its decisions; what many of the baseline's lacked too is no news."""
    usual = {"missing"} if stream["optional"] and stream["watched"] else set()
    return [f"{n} {what}" for what, n in stream["counts"].items() if what not in usual]


def summary(document: Mapping[str, Any]) -> list[str]:
    """The result for a person at a terminal."""
    rejected = f", {document['rejected']} unreadable" if document["rejected"] else ""
    duplicates = f", {document['duplicates']} came twice" if document["duplicates"] else ""
    alarms, streams = document["alarms"], document["streams"]
    lines = [
        f"{document['decisions']} decisions{rejected}{duplicates}, {len(streams)} streams, {len(alarms)} "
        f"alarm{'s' if len(alarms) != 1 else ''} (at most one false alarm in {document['run_length_guarantee']:,.0f} "
        f"decisions on average, where the baselines' {document['confidence']:.0%} bounds hold)"
    ]
    lines += [f"  {' '.join(a['change']['sentence'].split())}" for a in alarms[:MOST_LINES]]
    if len(alarms) > MOST_LINES:
        lines.append(f"  and {len(alarms) - MOST_LINES} more")
    lost = [s for s in streams if not s["watched"]]
    lines += [
        f"  not watched any more: {s['agent']}: {s['stream']} ({', '.join(_counted(s))})" for s in lost[:MOST_LINES]
    ]
    for agent, n in list(document["without_baseline"].items())[:MOST_LINES]:
        lines.append(f"  not watched: {agent!r} has no baseline; its {n} decisions are too few to learn from")
    for agent, reasons in document["left_out"].items():
        lines += [f"  no stream: {agent}: {name} ({why})" for name, why in list(reasons.items())[:MOST_LINES]]
    for s in streams:
        lines += [f"  {s['agent']}: {s['stream']}: {said}" for said in _counted(s) if s["watched"]]
    if document["rejects"]:
        first = document["rejects"][0]
        lines.append(f"  first unreadable: {first['source']} line {first['line']}: {first['reason']}")
    return lines[: 4 * MOST_LINES]
