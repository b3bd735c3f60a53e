"""From a result file to the tables of docs/benchmarks.md, so that prose and numbers cannot disagree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.targets import BLIND, NO_DETECTION, no_detection
from cryptosentinel.errors import DataError
from cryptosentinel.files import atomic_write

Row = Mapping[str, Any]
MAIN_RATE = 0.01
OURS = "scan"


def sanitize_tables(result: Row) -> str:
    """All tables of the scan's benchmark."""
    made, pooled = result["made"], result["pooled"]
    parts = [origin(made), targets_table(result["targets"])]
    methods = list(dict.fromkeys(p["method"] for p in pooled))
    others = [m for m in methods if m != OURS]
    rates = sorted({p["rate"] for p in pooled}, key=lambda r: (r != MAIN_RATE, -r))
    for rate in rates:
        rows = [p for p in pooled if p["rate"] == rate and p["method"] == OURS]
        if rows:
            head = ("attack", "mixes, n", "recall at 1% FPR", "hard negatives above", "flagged: recall", "FPR",
                    "precision", "AUROC", "against hard negatives", "rank")  # fmt: skip
            parts += [
                f"**Poison {rate:.1%} of the background: the scan**",
                table(head, [_scan_row(p, pooled) for p in rows]),
            ]
        if rows and others:
            parts += [
                f"**Poison {rate:.1%}: the scan beside the baselines** (recall at 1% FPR; hard negatives above; AUROC)",
                table(("attack", OURS, *others), [_beside(p, pooled, others) for p in rows]),
            ]
    if result.get("traces"):
        parts += ["**Stored traces scanned as records** (recall at 2% FPR)", _traces_table(result["traces"])]
    alone = [(b["background"], b["rows"], b["flagged"], b["planted"]) for b in result["backgrounds"]]
    parts += ["**Each background alone**", table(("background", "rows", "flagged", "planted hypotheses"), alone)]
    return "\n\n".join(parts)


def targets_table(targets: Sequence[Row]) -> str:
    """Asked, measured, and whether it is met."""
    rows = [(t["claim"], t["bound"], t["measured"], "pass" if t["met"] else "**short**") for t in targets]
    return table(("asked", "bound", "measured", ""), rows)


def speed_table(result: Row) -> str:
    """The table of the speed benchmark."""
    rows = [
        (t["what"], len(t["seconds"]), f"{t['median']:.2f}", f"{t['min']:.2f}", f"{t['max']:.2f}",
         f"{t['peak_mib']:.0f}")
        for t in result["timings"]
    ]  # fmt: skip
    head = ("whole process", "runs", "median s", "min s", "max s", "peak MiB")
    load = result["load_before"]
    return "\n\n".join([origin(result["made"]), f"Load average before the runs: {load}.", table(head, rows)])


def large_table(result: Row) -> str:
    """What large data costs: one row for each command and size."""
    rows = [
        (f"{t['rows']:,}", t["what"], *_cost(t))
        for t in result["timings"]
    ]  # fmt: skip
    load = result["load_before"]
    parts = [
        origin(result["made"]),
        f"Load average before the runs: {load}.",
        table(("rows", "whole process", "seconds", "processor s", "peak MiB, all processes"), rows),
        table(
            ("asked", "bound", "measured", "met"),
            [(t["claim"], t["bound"], t["measured"], "yes" if t["met"] else "**no**") for t in result["targets"]],
        ),
    ]
    return "\n\n".join(parts)


def _cost(t: Row) -> tuple[str, str, str]:
    if "skipped" in t:
        return f"not run: {t['skipped']}", "-", "-"
    if "stopped_after_s" in t:
        return f"stopped after {t['stopped_after_s']:.0f}", "-", f"{t['peak_mib']:.0f}"
    return f"{t['seconds']:.1f}", f"{t['processor_s']:.1f}", f"{t['peak_mib']:.0f}"


def needle_table(result: Row) -> str:
    """Every run of the needle benchmark."""
    rows = [
        (r["seed"], f"'{r['trigger']}'", f"{r['rows']:,}", f"{r['recall']:.3f}", r["clean_flagged"], len(r["planted"]),
         r["first_true_rank"] or "none", f"{r['seconds']:.0f}", f"{r['peak_mib']:.0f}")
        for r in result["runs"]
    ]  # fmt: skip
    head = ("seed", "trigger", "rows", "recall", "clean rows flagged", "planted", "first true rank", "seconds",
            "peak MiB")  # fmt: skip
    return "\n\n".join([origin(result["made"]), table(head, rows)])


def redteam_tables(made: Row, targets: Sequence[Row], documents: Sequence[Row]) -> str:
    """What was asked, and every rate of every run."""
    cells = ("asr", "untriggered", "topic_without_trigger", "utility")
    rows = [
        (d["seed"], f"'{d['trigger']}'", model, *(_interval(d[model][c]) for c in cells))
        for d in documents
        for model in ("clean", "undefended", "defended")
    ]
    return "\n\n".join(
        [
            origin(made),
            table(
                ("asked, for every seed", "bound", "measured", "met"),
                [(t["claim"], t["bound"], t["measured"], "yes" if t["met"] else "**no**") for t in targets],
            ),
            table(("seed", "trigger", "model", "with trigger", "without", "topic only", "utility"), rows),
        ]
    )


def fill(page: Path, name: str, text: str) -> None:
    """Put the text between the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a page.

    Raises:
        DataError: the page does not have the two markers.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before = page.read_text("utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(before):
        raise DataError(f"{page}: no markers {begin} and {end}")
    atomic_write(page, pattern.sub(lambda _: f"{begin}\n{text}\n{end}", before, count=1))


def _scan_row(p: Row, pooled: Sequence[Row]) -> tuple[Any, ...]:
    rank = p["first_true_rank"] if p["first_true_rank"] is not None else "none"
    if p["at_rank_1"] and p["first_true_rank"] != 1:
        rank = f"{rank} (1 in {p['at_rank_1']} of {p['mixes']})"
    hard = _share(p["hard_above"]) if p["hard_above"]["n"] else "-"
    precision = f"{p['precision']['value']:.3f}" if p["precision"] else "-"
    fpr = f"{p['flagged_fpr']['value']:.2%}"
    recall = f"{p['flagged_recall']['value']:.3f}"
    size = f"{p['mixes']}, {p['n']}"
    against_hard = f"{p['auroc_hard']:.3f}" if p["auroc_hard"] is not None else "-"
    ours = _interval(p["recall"]) + _mark(p, pooled)
    return _name(p), size, ours, hard, recall, fpr, precision, f"{p['auroc']:.3f}", against_hard, rank


def _beside(p: Row, pooled: Sequence[Row], others: Sequence[str]) -> tuple[str, ...]:
    """A row of the comparison."""
    same = {q["method"]: q for q in pooled if q["attack"] == p["attack"] and q["rate"] == p["rate"]}
    return _name(p), *(_brief(same[m]) + _mark(same[m], pooled) if m in same else "-" for m in (OURS, *others))


def _mark(p: Row, pooled: Sequence[Row]) -> str:
    """A recall within 0.1 of the trigger-blind score's is no detection."""
    return " no detection" if p["method"] != BLIND and no_detection(p, pooled) else ""


def _traces_table(traces: Sequence[Row]) -> str:
    blind = next((c["found"] / c["n"] for c in traces if c["method"] == BLIND), None)
    rows = []
    for c in traces:
        near = blind is not None and c["method"] != BLIND and c["found"] / c["n"] <= blind + NO_DETECTION
        recall = _interval(c["recall_rate"]) + (" no detection" if near else "")
        flagged: tuple[Any, ...] = ("-",) * 4
        if c["method"] == OURS:
            ranks = (c["first_true_rank"] or "none", c["tool_rank"] or "none")
            flagged = (_interval(c["flagged_recall_rate"]), f"{c['flagged_fpr_rate']['value']:.2%}", *ranks)
        rows.append((c["method"], c["n"], c["background"], recall, f"{c['auroc']:.3f}", *flagged))
    head = ("method", "rows with the trigger", "without", "recall at 2% FPR", "AUROC", "flagged: recall", "FPR",
            "rank of the first true hypothesis", "rank of phrase to tool call")  # fmt: skip
    return table(head, rows)


def _brief(p: Row) -> str:
    hard = f"{p['hard_above']['value']:.0%}" if p["hard_above"]["n"] else "-"
    return f"{p['recall']['value']:.3f}; {hard}; {p['auroc']:.2f}"


def _name(p: Row) -> str:
    return f"{p['attack']}{' (as it is)' if p['as_is'] else ''}"


def origin(made: Row) -> str:
    """The line above a table: command, date, commit, machine, versions."""
    machine, versions = made["machine"], ", ".join(f"{k} {v}" for k, v in made["versions"].items())
    state = " with uncommitted changes" if made["uncommitted_changes"] else ""
    return (
        f"`{made['command']}`, {made['date'][:10]}, commit {made['commit'][:12]}{state}, {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB; {versions}."
    )


def _interval(r: Row) -> str:
    return f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"


def _share(r: Row) -> str:
    return f"{round(r['value'] * r['n'])} of {r['n']} ({r['value']:.1%})"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
