"""`cryptosentinel guard`: judge recorded conversations, and explain one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from cryptosentinel.types import Progress

EXIT_FOUND = 1
SHOWN = 10

app = typer.Typer(help="Would these conversations have been stopped, where and why?", no_args_is_help=True)
Traces = Annotated[
    list[Path], typer.Argument(metavar="TRACES...", help="Conversations: JSONL or JSON, also .gz or .zst.")
]
Rules = Annotated[Path | None, typer.Option("--rules", metavar="FILE", help="The operator's rules (*.ags).")]
Hypotheses = Annotated[
    Path | None, typer.Option("--hypotheses", metavar="FILE", help="hypotheses.json of a scan: triggers to look for.")
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline", metavar="FILE", help="Honest conversations of the same agents: a tool they never call is held."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def guard() -> None:
    """Would these conversations have been stopped, where and why?"""


@app.command("check")
def check(
    traces: Traces,
    rules: Rules = None,
    hypotheses: Hypotheses = None,
    baseline: Baseline = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A language model (OpenAI-compatible endpoint) asked where the local scores are unsure. It reads "
            "the conversations. It can only raise.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSONL, one line a trace; rejects.jsonl is written beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge conversations message by message, as they would have arrived; one line for each.

    A trace is one line such as

    \b
      {"id": "t1", "messages": [{"role": "user", "content": "Pay the bill in bill.txt"}, {"role": "assistant",
       "tool_calls": [{"id": "c1", "function": {"name": "read_file", "arguments": "{\\"path\\": \\"bill.txt\\"}"}}]}]}

    and its result one such as {"id": "t1", "action": "hold", "scores": {...}, "step": 3, "findings": [...]}: the
    message at which it would first have been held or blocked. "tools", with descriptions, is read where a trace has it.

    Exit code 0: nothing was held or blocked. 1: something was. 2: no readable trace. 3: a defence could not run.

    Example: cryptosentinel guard check traces.jsonl --rules rules.ags --out verdicts.jsonl
    """  # noqa: D301  a real backspace keeps the example's lines apart
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.guard import check_traces
    from cryptosentinel.services.guard_files import local_guard

    judging = None
    if judge is not None:
        from cryptosentinel.services.guard_judge import judged_guard

        judging = judged_guard(local_guard(hypotheses, baseline), judge)
    with _progress() as board:
        document = check_traces(
            traces, rules=rules, hypotheses=hypotheses, baseline=baseline, guard=judging, out=out, on_progress=board
        )  # fmt: skip
    if as_json:
        emit_json(document)
    elif out is not None:
        emit(summary(document))
    else:
        import json

        emit(json.dumps(line, ensure_ascii=False, allow_nan=False) for line in document["traces"])
        for line in summary(document):
            typer.echo(line, err=True)
    if judging is not None:
        from cryptosentinel.services.guard_judge import require_answers

        require_answers(judging)
    if document["stopped"]:
        raise typer.Exit(EXIT_FOUND)


@app.command("explain")
def explain(
    traces: Traces,
    trace: Annotated[str, typer.Option("--id", metavar="ID", help="Which conversation: its id.")],
    rules: Rules = None,
    hypotheses: Hypotheses = None,
    baseline: Baseline = None,
    as_json: AsJson = False,
) -> None:
    """Show one conversation as a timeline: what was seen at each message, why, and what would have been done.

    Exit code 0: nothing was held or blocked. 1: something was. 2: no such trace. 3: a defence could not run.

    Example: cryptosentinel guard explain traces.jsonl --id t1
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.guard_explain import explain_trace, timeline

    document = explain_trace(traces, trace, rules=rules, hypotheses=hypotheses, baseline=baseline)
    if as_json:
        emit_json(document)
    else:
        emit(timeline(document))
    if document["action"] in ("hold", "block"):
        raise typer.Exit(EXIT_FOUND)


def _progress() -> AbstractContextManager[Progress | None]:
    """Bars on a terminal; what draws them takes longer to load than all else here, so only there."""
    if not sys.stderr.isatty():
        return nullcontext()
    from cryptosentinel.cli.board import Board

    return Board()


def summary(document: Mapping[str, Any]) -> list[str]:
    """The result for a person at a terminal."""
    rejected = f", {document['rejected']} unreadable" if document["rejected"] else ""
    actions, count = document["actions"], document["judged"]
    lines = [
        f"{count} conversation{'s' if count != 1 else ''}{rejected}: {actions['block']} blocked, "
        f"{actions['hold']} held, {actions['flag']} flagged, {actions['allow']} let through, "
        f"in {document['seconds']:.1f} s"
    ]
    lines += [f"  {r['source']}, line {r['line']}: {r['reason']}" for r in document["rejects"][:SHOWN]]
    if document["out"]:
        lines.append(f"verdicts: {document['out']}")
    return lines
