"""From the guard's results to the tables of docs/benchmarks.md."""

from __future__ import annotations

from typing import Any

from bench.tables import Row, origin, table, targets_table

LABELS = ("attack_succeeded", "attack_attempted", "attack_resisted", "attack_not_seen", "benign", "unsafe", "safe")


def guard_tables(result: Row) -> str:
    """All tables of `benchmarks/guard.py`."""
    parts = [origin(result["made"]), targets_table(result["targets"])]
    parts.append(
        "**Share held or blocked by the harmful step, cuts fitted without the suite (or the source) reported**"
    )
    parts.append(_rates([r for r in result["rates"] if r["left_out"] != "shipped"]))
    parts.append("**The same with the weights of the package**")
    parts.append(_rates([r for r in result["rates"] if r["left_out"] == "shipped"]))
    lost = [(r["part"], r["missed"], r["before_any_order"]) for r in result["missed"]]
    parts.append(
        "**Hijacks that were not stopped**, and those whose call came before anything untrusted had given an order"
    )
    parts.append(table(("part", "missed", "before any order"), lost))
    parts.append("**With a baseline**: the benign traces of the other four fifths, and so much of it attacked ones")
    parts.append(_with_baseline(result["with_baseline"]))
    parts.append("**The planning backdoor with hypotheses that a scan of the other half found**")
    parts.append(
        table(
            ("halves of the", "label", "held", "scans that found a planted trigger"),
            [
                (r["split"], r["label"], _held(r["held"]), f"{r['scans_that_named_one']} of {r['scans']}")
                for r in result["mined"]
            ],
        )
    )
    parts.append("**AUROC of unsafe against safe**, plain and within thirds of length x thirds of turns")
    parts.append(
        table(
            ("part", "score", "plain", "within strata"),
            [(r["part"], r["score"], _auroc(r["plain"]), _auroc(r["strata"])) for r in result["strata"]],
        )
    )
    parts.append("**Traders told to turn their logic, stated intent masked**: AUROC of attacked against benign hours")
    parts.append(table(("check", "attack", "AUROC"), [(r["check"], r["attack"], _auroc(r)) for r in result["traders"]]))
    parts.append("**Beside it on the same messages**: share stopped before the harm")
    parts.append(_baselines(result["baselines"]))
    if result["skipped"]:
        parts.append("Not run: " + "; ".join(f"{k} ({v})" for k, v in result["skipped"].items()) + ".")
    return "\n\n".join(parts)


def latency_tables(result: Row) -> str:
    """The table of `benchmarks/guard_latency.py`."""
    rows = [
        (r["what"], r["events"], f"{r['p50_ms']:.3f}", f"{r['p99_ms']:.3f}", f"{r['per_s']:.0f}",
         f"{r['clock_p50_ms']:.3f}", f"{r['clock_p99_ms']:.3f}")
        for r in result["cells"]
    ]  # fmt: skip
    head = ("events", "n", "median ms", "99% ms", "events/s", "by the clock: median", "99%")
    load = f"Load average before the run: {result['load_before']}."
    return "\n\n".join([origin(result["made"]), load, targets_table(result["targets"]), table(head, rows)])


def _rates(rows: list[Any]) -> str:
    keys = list(dict.fromkeys((r["part"], r["suite"], r["left_out"]) for r in rows))
    labels = [label for label in LABELS if any(r["label"] == label for r in rows)]
    known = {(r["part"], r["suite"], r["left_out"], r["label"]): r["held"] for r in rows}
    lines = [
        (*key, *(_held(known[*key, label]) if (*key, label) in known else "-" for label in labels)) for key in keys
    ]
    return table(("part", "suite", "left out", *labels), lines)


def _with_baseline(rows: list[Any]) -> str:
    keys = list(dict.fromkeys((r["part"], r["left_out"], r["attacked"], r["checks"]) for r in rows))
    labels = [label for label in LABELS if any(r["label"] == label for r in rows)]
    known = {(r["part"], r["left_out"], r["attacked"], r["checks"], r["label"]): r["held"] for r in rows}
    lines = []
    for key in keys:
        rates = [_held(known[*key, label]) if (*key, label) in known else "-" for label in labels]
        lines.append((*key[:2], f"{key[2]:.0%}", key[3], *rates))
    return table(("part", "left out together", "attacked", "held by", *labels), lines)


def _baselines(rows: list[Any]) -> str:
    keys = list(dict.fromkeys((r["method"], r["part"]) for r in rows))
    labels = [label for label in LABELS if any(r["label"] == label for r in rows)]
    known = {(r["method"], r["part"], r["label"]): r["held"] for r in rows}
    lines = [
        (*key, *(_held(known[*key, label]) if (*key, label) in known else "-" for label in labels)) for key in keys
    ]
    return table(("method", "part", *labels), lines)


def _held(rate: Row) -> str:
    return f"{rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}] of {rate['n']}"


def _auroc(row: Row) -> str:
    value = "-" if row["value"] is None else f"{row['value']:.3f}"
    return f"{value} [{row['low']:.3f}, {row['high']:.3f}] n {row['n']}"
