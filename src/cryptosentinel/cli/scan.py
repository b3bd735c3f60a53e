"""`cryptosentinel scan`: find and name hidden behaviours in fine-tuning data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_FOUND = 1
SHOWN = 5


def scan(
    data: Annotated[list[Path], typer.Argument(help="Files or folders: JSONL, JSON, CSV, Parquet, also .gz or .zst.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, the scores, clean.jsonl and quarantine.jsonl.")
    ] = None,
    trusted: Annotated[
        list[Path] | None, typer.Option(help="Data of the same kind known to be clean: what it shows too is natural.")
    ] = None,
    fpr: Annotated[
        float, typer.Option(help="False discovery rate; with --trusted also its largest flagged share.")
    ] = 0.01,
    reference_model: Annotated[
        str, typer.Option(help="none, auto (the local model if installed), a model's name, a folder or a hub id.")
    ] = "auto",
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A language model (OpenAI-compatible endpoint) that judges the hypotheses. It reads rows of the data. "
            "It can only raise. Model and key: CRYPTOSENTINEL_JUDGE_MODEL, CRYPTOSENTINEL_JUDGE_API_KEY_ENV.",
        ),
    ] = None,
    judge_rows: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="The judge also reads the N most suspicious rows, and N ordinary ones to see what it says of those. "
            "Four rows are one question.",
        ),
    ] = 0,
    engine: Annotated[
        str,
        typer.Option(help="Who works on large data: local (all cores) or ray (RAY_ADDRESS, or started here)."),
    ] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Find rows that teach a hidden behaviour, and name the behaviour.

    Exit code 0: nothing found. 1: something found. 2: no readable input. 3: the scan could not run, or the judge that
    was asked for could not judge (the results are written, as they are without it).

    Example: cryptosentinel scan train.jsonl --out report --trusted last-release.jsonl
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.report import render_scan, to_sarif
    from cryptosentinel.services.judge import require_judged
    from cryptosentinel.services.scan import scan_dataset

    renderers = {"report.html": render_scan, "report.sarif": lambda doc: json.dumps(to_sarif(doc), indent=1)}
    with Board() as board:
        report = scan_dataset(
            data, out=out, trusted=trusted or [], fpr=fpr, reference_model=reference_model, judge=judge,
            judge_rows=judge_rows, engine=engine, renderers=renderers, on_progress=board,
        )  # fmt: skip
    if as_json:
        emit_json(report.document)
    else:
        emit(summary(report.document, out))
    require_judged(report.document)
    if report.found:
        raise typer.Exit(EXIT_FOUND)


def summary(document: dict[str, Any] | Any, out: Path | None) -> list[str]:
    """The result for a person at a terminal."""
    from cryptosentinel.services.asked import named

    planted = [h for h in document["hypotheses"] if h["verdict"] == "planted"]
    rejected = f", {document['rejected']} unreadable" if document["rejected"] else ""
    lines = [
        f"{document['rows']} rows scanned{rejected} in {document['seconds']['total']:.1f} s "
        f"(reference model: {named(document['reference_model'], document['reference_model_asked'])})",
        f"{document['flagged']} rows quarantined, {len(planted)} planted behaviour{'s' if len(planted) > 1 else ''}"
        if planted
        else f"{document['flagged']} rows quarantined, no planted behaviour",
    ]
    lines += [f"  {n}. {' '.join(h['sentence'].split())}" for n, h in enumerate(planted[:SHOWN], 1)]
    if len(planted) > SHOWN:
        lines.append(f"  and {len(planted) - SHOWN} more")
    if undecided := document["undecided"]:
        stand, them = ("associations stand", "them") if undecided > 1 else ("association stands", "it")
        lines.append(
            f"{undecided} {stand} out and nothing could judge {them}: give --trusted data, a reference model or a "
            "judge (docs/data-validation.md)"
        )
    if shared := document["trusted_shared"]:
        lines.append(f"{shared} trusted row{'s are' if shared > 1 else ' is'} also in the data and vouched for nothing")
    if document.get("judge"):
        lines.append(judged(document["judge"]))
    if out:
        lines.append(f"report: {out / 'report.html'}")
    return lines


def judged(judge: dict[str, Any]) -> str:
    """What the judge did, on one line."""
    parts = [f"{judge['questions']} questions ({judge['from_cache']} from the cache)"]
    if judge["errors"]:
        parts.append(f"{judge['errors']} without a usable answer")
    if judge["not_asked"]:
        spent = judge["questions"] >= judge["max_questions"]
        why = f": the budget of {judge['max_questions']} is spent" if spent else ""
        parts.append(f"{judge['not_asked']} not asked{why}")
    parts.append(f"{judge['hypotheses_raised']} hypotheses and {judge['rows']['raised']} rows raised")
    control = judge["rows"]["called_malicious"].get("control")
    if control:
        parts.append(f"calls {control['value']:.0%} of {control['n']} ordinary rows malicious")
    return f"judge {', '.join(judge['models']) or judge['endpoint']}: {'; '.join(parts)}"
