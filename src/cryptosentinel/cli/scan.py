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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Find rows that teach a hidden behaviour, and name the behaviour.

    Exit code 0: nothing found. 1: something found. 2: no readable input. 3: the scan could not run.

    Example: cryptosentinel scan train.jsonl --out report --trusted last-release.jsonl
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.report import render_scan, to_sarif
    from cryptosentinel.services.scan import scan_dataset

    renderers = {"report.html": render_scan, "report.sarif": lambda doc: json.dumps(to_sarif(doc), indent=1)}
    with Board() as board:
        report = scan_dataset(
            data, out=out, trusted=trusted or [], fpr=fpr, reference_model=reference_model, renderers=renderers,
            on_progress=board,
        )  # fmt: skip
    if as_json:
        emit_json(report.document)
    else:
        emit(summary(report.document, out))
    if report.found:
        raise typer.Exit(EXIT_FOUND)


def summary(document: dict[str, Any] | Any, out: Path | None) -> list[str]:
    """The result for a person at a terminal."""
    planted = [h for h in document["hypotheses"] if h["verdict"] == "planted"]
    rejected = f", {document['rejected']} unreadable" if document["rejected"] else ""
    lines = [
        f"{document['rows']} rows scanned{rejected} in {document['seconds']['total']:.1f} s "
        f"(reference model: {document['reference_model']})",
        f"{document['flagged']} rows quarantined, {len(planted)} planted behaviour{'s' if len(planted) > 1 else ''}"
        if planted
        else f"{document['flagged']} rows quarantined, no planted behaviour",
    ]
    lines += [f"  {n}. {' '.join(h['sentence'].split())}" for n, h in enumerate(planted[:SHOWN], 1)]
    if len(planted) > SHOWN:
        lines.append(f"  and {len(planted) - SHOWN} more")
    if out:
        lines.append(f"report: {out / 'report.html'}")
    return lines
