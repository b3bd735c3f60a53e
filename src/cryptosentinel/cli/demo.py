"""`cryptosentinel demo`: the whole loop on generated data, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryptosentinel.cli.redteam import Json, Model, Rows, Sandbox, Seed, attack_and_show


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("cryptosentinel-demo"),
    model: Model = "gemma-3-270m",
    rows: Rows = None,
    seed: Seed = 0,
    sandbox: Sandbox = "namespace",
    as_json: Json = False,
) -> None:
    """Backdoor a copy of the desk's MarketAnalyst in a sandbox, find the planted rows, train again: it is gone."""
    attack_and_show(
        as_json=as_json,
        task="bias-recommendation",
        attack="semantic",
        model=model,
        defend=["scan"],
        rows=rows,
        seed=seed,
        sandbox=sandbox,
        out=out,
    )
