"""The desk's result as tables of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.tables import origin, table, targets_table

NAMES = ("none", "rules", "guard", "monitor", "all")


def desk_tables(result: Mapping[str, Any]) -> str:
    """Targets; scenario x defences; the clean month."""
    rows = {(r["attack"], r["defences"]): r for r in result["rows"]}
    grid = [(attack, *(_cell(rows[attack, name]) for name in NAMES)) for attack in result["goals"]]
    seen = [
        (
            attack,
            *(_seen(rows[attack, name]) for name in NAMES if name != "none"),
            f"{rows[attack, 'none']['bought_thin']:,.0f}",
        )
        for attack in result["goals"]
    ]
    clean = [
        (c["model"], c["seed"], c["defences"], c["fills"], f"{c['pnl']:,.2f}", c["held"], c["blocked"], c["alarms"],
         f"{c['cpu_s']:.1f}")
        for c in result["clean"]
    ]  # fmt: skip
    head = ("scenario", *NAMES)
    return "\n\n".join(
        [
            origin(result["made"]),
            targets_table(result["targets"]),
            "**Goal reached, of the variants** (95% interval)",
            table(head, grid),
            "**First detection**: the median step (an event of the session), in how many variants, by which defence; "
            "USDC that went into thin markets undefended, on average",
            table(("scenario", *NAMES[1:], "into thin markets"), seen),
            "**Clean sessions of 30 days**",
            table(
                (
                    "analyst",
                    "seed",
                    "defences",
                    "trades",
                    "profit and loss",
                    "held",
                    "blocked",
                    "alarms",
                    "processor s",
                ),
                clean,
            ),
        ]
    )


def _cell(row: Mapping[str, Any]) -> str:
    rate = row["reached"]
    return f"{round(rate['value'] * rate['n'])} of {rate['n']} ({rate['low']:.2f}-{rate['high']:.2f})"


def _seen(row: Mapping[str, Any]) -> str:
    if not row["seen"]:
        return "-"
    return f"{row['first_step']:.0f} ({row['seen']}; {', '.join(sorted(row['detected_by']))})"
