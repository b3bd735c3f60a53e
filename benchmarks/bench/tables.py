"""From a result file to the tables of docs/benchmarks.md, so that prose and numbers cannot disagree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.errors import DataError
from cryptosentinel.files import atomic_write

Row = Mapping[str, Any]
EASY = "backdoorllm_*"
MAIN_RATE = 0.01
MOST_MISSED, MOST_HARD, MOST_ALONE = 0.005, 0.05, 0.01
BLIND = "format_outlier"
NO_DETECTION = 0.1


def targets(pooled: Sequence[Row], backgrounds: Sequence[Row]) -> list[dict[str, Any]]:
    """What was asked, what was measured, is it met? Only for what was run."""
    found = []
    easy = next((p for p in pooled if p["attack"] == EASY and p["method"] == "scan"), None)
    if easy:
        missed = easy["missed"] / easy["n"]
        found += [
            _target("backdoorllm_* at 1%: poisoned rows missed at 1% FPR", f"{easy['missed']} of {easy['n']}",
                    f"<= {MOST_MISSED:.1%}", missed <= MOST_MISSED),
            _target("backdoorllm_* at 1%: mixes whose first true hypothesis is at rank 1",
                    f"{easy['at_rank_1']} of {easy['mixes']}", "all", easy["at_rank_1"] == easy["mixes"]),
            _target("backdoorllm_* at 1%: hard negatives above the threshold, pooled", _share(easy["hard_above"]),
                    f"<= {MOST_HARD:.0%}", easy["hard_above"]["value"] <= MOST_HARD),
            _target("backdoorllm_* at 1%: hard negatives above the threshold, worst mix",
                    f"{easy['worst_hard_above']:.1%}", f"<= {MOST_HARD:.0%}", easy["worst_hard_above"] <= MOST_HARD),
        ]  # fmt: skip
    for alone in backgrounds:
        if alone["background"] == "alpaca_9k":
            share = alone["flagged"] / alone["rows"]
            measured = f"{alone['flagged']} of {alone['rows']}"
            bound = f"<= {MOST_ALONE:.0%}"
            found.append(_target("alpaca_9k alone: rows flagged", measured, bound, share <= MOST_ALONE))
    return found


def sanitize_tables(result: Row) -> str:
    """All tables of the scan's benchmark."""
    made, pooled = result["made"], result["pooled"]
    parts = [
        _origin(made),
        _table(("asked", "bound", "measured", "met"),
               [(t["claim"], t["bound"], t["measured"], "yes" if t["met"] else "**no**") for t in result["targets"]]),
    ]  # fmt: skip
    rates = sorted({p["rate"] for p in pooled}, key=lambda r: (r != MAIN_RATE, -r))
    for rate in rates:
        rows = [p for p in pooled if p["rate"] == rate and p["method"] == "scan"]
        if rows:
            head = ("attack", "mixes, n", "recall at 1% FPR", "hard negatives above", "flagged: recall", "FPR",
                    "precision", "AUROC", "against hard negatives", "rank")  # fmt: skip
            parts += [f"**Poison {rate:.1%} of the background: the scan**", _table(head, map(_scan_row, rows))]
        others = sorted({p["method"] for p in pooled if p["method"] != "scan"})
        if rows and others:
            parts += [
                f"**Poison {rate:.1%}: the scan beside the baselines** (recall at 1% FPR; hard negatives above; AUROC)",
                _table(("attack", "scan", *others), [_beside(p, pooled, others) for p in rows]),
            ]
    alone = [(b["background"], b["rows"], b["flagged"], b["planted"]) for b in result["backgrounds"]]
    parts += ["**Each background alone**", _table(("background", "rows", "flagged", "planted hypotheses"), alone)]
    return "\n\n".join(parts)


def speed_table(result: Row) -> str:
    """The table of the speed benchmark."""
    rows = [
        (t["what"], len(t["seconds"]), f"{t['median']:.2f}", f"{t['min']:.2f}", f"{t['max']:.2f}",
         f"{t['peak_mib']:.0f}")
        for t in result["timings"]
    ]  # fmt: skip
    head = ("whole process", "runs", "median s", "min s", "max s", "peak MiB")
    load = result["load_before"]
    return "\n\n".join([_origin(result["made"]), f"Load average before the runs: {load}.", _table(head, rows)])


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
            _origin(made),
            _table(
                ("asked, for every seed", "bound", "measured", "met"),
                [(t["claim"], t["bound"], t["measured"], "yes" if t["met"] else "**no**") for t in targets],
            ),
            _table(("seed", "trigger", "model", "with trigger", "without", "topic only", "utility"), rows),
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


def _scan_row(p: Row) -> tuple[Any, ...]:
    rank = p["first_true_rank"] if p["first_true_rank"] is not None else "none"
    if p["at_rank_1"] and p["first_true_rank"] != 1:
        rank = f"{rank} (1 in {p['at_rank_1']} of {p['mixes']})"
    hard = _share(p["hard_above"]) if p["hard_above"]["n"] else "-"
    precision = f"{p['precision']['value']:.3f}" if p["precision"] else "-"
    fpr = f"{p['flagged_fpr']['value']:.2%}"
    recall = f"{p['flagged_recall']['value']:.3f}"
    size = f"{p['mixes']}, {p['n']}"
    against_hard = f"{p['auroc_hard']:.3f}" if p["auroc_hard"] is not None else "-"
    auroc = f"{p['auroc']:.3f}"
    return _name(p), size, _interval(p["recall"]), hard, recall, fpr, precision, auroc, against_hard, rank


def _beside(p: Row, pooled: Sequence[Row], others: Sequence[str]) -> tuple[str, ...]:
    """A row of the comparison; a recall within 0.1 of the trigger-blind score's is marked as no detection."""
    same = {q["method"]: q for q in pooled if q["attack"] == p["attack"] and q["rate"] == p["rate"]}
    blind = same.get(BLIND)
    mark = " no detection" if blind and p["recall"]["value"] < blind["recall"]["value"] + NO_DETECTION else ""
    return _name(p), _brief(p) + mark, *(_brief(same[m]) if m in same else "-" for m in others)


def _brief(p: Row) -> str:
    hard = f"{p['hard_above']['value']:.0%}" if p["hard_above"]["n"] else "-"
    return f"{p['recall']['value']:.3f}; {hard}; {p['auroc']:.2f}"


def _name(p: Row) -> str:
    return f"{p['attack']}{' (as it is)' if p['as_is'] else ''}"


def _origin(made: Row) -> str:
    machine, versions = made["machine"], ", ".join(f"{k} {v}" for k, v in made["versions"].items())
    state = " with uncommitted changes" if made["uncommitted_changes"] else ""
    return (
        f"`{made['command']}`, {made['date'][:10]}, commit {made['commit'][:12]}{state}, {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB; {versions}."
    )


def _target(claim: str, measured: str, bound: str, met: bool) -> dict[str, Any]:
    return {"claim": claim, "bound": bound, "measured": measured, "met": met}


def _interval(r: Row) -> str:
    return f"{r['value']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"


def _share(r: Row) -> str:
    return f"{round(r['value'] * r['n'])} of {r['n']} ({r['value']:.1%})"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
