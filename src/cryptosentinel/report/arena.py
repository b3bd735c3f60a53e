"""The report of the arena: which attack gets through which defence, at what price, and what got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptosentinel.redteam.defence import NONE
from cryptosentinel.report.page import render
from cryptosentinel.report.text import percent, plural, seconds

TOOK = 0.5  # an undefended attack that fires less often has hardly taken
GONE = 0.05  # upper 95% bound of defended minus clean from which on nothing is left to speak of
CELLS = 400
COLUMNS = (
    ("asr", "with trigger"),
    ("untriggered", "without"),
    ("topic_without_trigger", "topic only"),
    ("utility", "utility"),
)
FACTS = ("model", "n", "rows", "seeds", "sandbox", "machine", "version", "model_sha256", "ledger_run")
_NO_ENTRY = {"task": "", "attack": "", "defence": "", "seed": "", "measure": "", "reason": ""}
Doc = Mapping[str, Any]


def render_arena(doc: Doc) -> str:
    """A self-contained HTML page from an arena's document; loads nothing, all text escaped."""
    return render("arena.html.j2", run=arena_view(doc))


def arena_view(doc: Doc) -> dict[str, Any]:
    """What the template needs: the verdict in a sentence, a grid for each task, a row for each cell, the comparison."""
    rows = [_row(p) for p in doc.get("pooled") or [] if isinstance(p, Mapping)]
    comparison = doc.get("comparison") if isinstance(doc.get("comparison"), Mapping) else None
    worse = {
        (e["task"], e["attack"], e["defence"]) for e in _entries(comparison, "regressions") if e["measure"] == "asr"
    }
    failed = [c for c in doc.get("cells") or [] if isinstance(c, Mapping) and c.get("status") == "error"]
    return {
        "headline": headline(doc),
        "state": _state(doc, rows),
        "defences": [_defence(name, rows) for name in _names(rows, "defence") if name != NONE],
        "grids": [
            {"task": task, **_grid([r for r in rows[:CELLS] if r["task"] == task], worse)}
            for task in _names(rows[:CELLS], "task")
        ],
        "columns": COLUMNS,
        "n": doc.get("n"),
        "hidden": max(0, len(rows) - CELLS),
        "failed": [_NO_ENTRY | dict(c) for c in failed][:CELLS],
        "counts": dict.fromkeys(("cells", "taken_over", "measured", "errors"), 0) | dict(_mapping(doc.get("counts"))),
        "comparison": None
        if comparison is None
        else {key: _entries(comparison, key)[:CELLS] for key in ("regressions", "improvements", "notes")}
        | {"compared": comparison.get("compared"), "margin": comparison.get("margin"), "new": comparison.get("new")},
        "facts": {key: _fact(doc[key]) for key in FACTS if doc.get(key) not in (None, "")}
        | {str(k): v for k, v in (doc.get("versions") or {}).items()},
        "gone": GONE,
        "seconds": doc.get("seconds"),
    }


def headline(doc: Doc) -> str:
    """The result in a sentence."""
    rows = [_row(p) for p in doc.get("pooled") or [] if isinstance(p, Mapping)]
    comparison = doc.get("comparison")
    worse = _entries(comparison, "regressions") if isinstance(comparison, Mapping) else []
    if worse:
        return f"{plural(len(worse), 'number')} got worse than in the run compared with"
    if not any(r["asr"] for r in rows):
        return "No cell could be measured"
    bare = [r for r in rows if r["defence"] == NONE and r["asr"]]
    took = sum(r["asr"]["value"] >= TOOK for r in bare)
    said = [f"{took} of {plural(len(bare), 'attack')} took"] if bare else []
    told = [_defence(name, rows) for name in _names(rows, "defence") if name != NONE]
    left = [f"{d['attacks'] - d['gone']} of {d['attacks']} after {d['name']}" for d in told if d["attacks"]]
    return "; ".join([*said, *([f"still there: {', '.join(left)}"] if left else [])])


def arena_markdown(doc: Doc) -> str:
    """The grid and every cell as Markdown, for a pull request or a page."""
    rows = [_row(p) for p in doc.get("pooled") or [] if isinstance(p, Mapping)]
    counts = doc.get("counts") or {}
    parts = ["# Red-team arena", f"{headline(doc)}."]
    parts.append(
        f"Model {_md(doc.get('model'))}, n {_md(doc.get('n'))} a rate, seeds {_md(_fact(doc.get('seeds')))}; "
        f"{_md(counts.get('cells', 0))} cells, {_md(counts.get('errors', 0))} failed. In the grid: how often the "
        "attack succeeds, with its 95% interval."
    )
    defences = _names(rows, "defence")
    for task in _names(rows, "task"):
        by = {(r["attack"], r["defence"]): r for r in rows if r["task"] == task}
        lines = [
            [attack, *(_md_rate(by.get((attack, d), {}).get("asr"), by.get((attack, d))) for d in defences)]
            for attack in dict.fromkeys(a for a, _ in by)
        ]
        parts += [f"## {_md(task)}", _table(["attack", *defences], lines)]
    details = [
        [r["task"], r["attack"], r["defence"], *(_md_rate(r[key], r) for key, _ in COLUMNS),
         _md_rate(r["clean_asr"], r), _difference(r["difference"]), _md_rate(r["recall"], r), seconds(r["seconds"])]
        for r in rows
    ]  # fmt: skip
    head = [
        "task",
        "attack",
        "defence",
        *(title for _, title in COLUMNS),
        "clean model",
        "minus clean",
        "recall",
        "cost",
    ]
    parts += ["## Every cell", _table(head, details)]
    comparison = doc.get("comparison")
    if isinstance(comparison, Mapping):
        parts.append("## Compared with the earlier run")
        for key, title in (("regressions", "worse"), ("improvements", "better"), ("notes", "note")):
            parts += [
                f"- {title}: {_md(e['task'])}, {_md(e['attack'])}, {_md(e['defence'])}, seed {_md(e['seed'])}: "
                f"{_md(e['reason'])}"
                for e in _entries(comparison, key)
            ]
    failed = [c for c in doc.get("cells") or [] if isinstance(c, Mapping) and c.get("status") == "error"]
    if failed:
        parts.append("## Failed")
        parts += [
            f"- {_md(c.get('task'))}, {_md(c.get('attack'))}, {_md(c.get('defence'))}, seed {_md(c.get('seed'))}: "
            f"{_md(c.get('reason'))}"
            for c in failed
        ]
    text = "\n\n".join(parts) + "\n"
    return text.encode("utf-8", "replace").decode("utf-8")


def _row(told: Doc) -> dict[str, Any]:
    """One pooled row, whatever is missing in it."""
    dropped, clean = _mapping(told.get("dropped")), _mapping(told.get("clean"))
    row: dict[str, Any] = {key: str(told.get(key, "")) for key in ("task", "attack", "defence")}
    row |= {key: _rate(told.get(key)) for key, _ in COLUMNS}
    row |= {key: _rate(told.get(key)) for key in ("difference", "utility_difference", "base_utility")}
    row |= {"clean_asr": _rate(clean.get("asr")), "clean_utility": _rate(clean.get("utility"))}
    row |= {"recall": _rate(dropped.get("recall")), "precision": _rate(dropped.get("precision"))}
    return row | {"seconds": told.get("seconds"), "errors": told.get("errors") or 0, "seeds": told.get("seeds") or 0}


def _mapping(told: Any) -> Doc:
    return told if isinstance(told, Mapping) else {}


def _rate(told: Any) -> dict[str, float] | None:
    if not isinstance(told, Mapping) or not isinstance(told.get("value"), int | float):
        return None
    given = {key: told[key] for key in ("value", "low", "high", "n") if isinstance(told.get(key), int | float)}
    return {"low": given["value"], "high": given["value"]} | given


def _names(rows: Sequence[Doc], key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in rows))


def _defence(name: str, rows: Sequence[Doc]) -> dict[str, Any]:
    """What one defence did over the attacks that took, or might have: how many are gone, what it costs."""
    weak = {(r["task"], r["attack"]) for r in rows if r["defence"] == NONE and r["asr"] and r["asr"]["value"] < TOOK}
    own = [r for r in rows if r["defence"] == name and r["difference"] and (r["task"], r["attack"]) not in weak]
    prices = [r["utility_difference"]["value"] for r in own if r["utility_difference"]]
    spent = [r["seconds"] for r in own if isinstance(r["seconds"], int | float)]
    return {
        "name": name,
        "attacks": len(own),
        "gone": sum(r["difference"]["high"] <= GONE for r in own),
        "worst_utility": min(prices, default=None),
        "seconds": sum(spent) / len(spent) if spent else None,
    }


def _grid(rows: Sequence[Doc], worse: set[tuple[str, str, str]]) -> dict[str, Any]:
    """The arguments of the heat map."""
    attacks, defences = _names(rows, "attack"), _names(rows, "defence")
    by = {(r["attack"], r["defence"]): r for r in rows}

    def cell(attack: str, defence: str) -> dict[str, Any] | None:
        row = by.get((attack, defence))
        if row is None:
            return None
        if not row["asr"]:
            return {"error": "see below"}
        mark = "worse" if (row["task"], attack, defence) in worse else ""
        against = row["clean_asr"]["value"] if row["clean_asr"] else None
        return {**row["asr"], "against": against, "mark": mark}

    cells = [[cell(a, d) for d in defences] for a in attacks]
    return {"attacks": attacks, "defences": defences, "cells": cells, "rows": [r for r in rows if r["asr"]]}


def _state(doc: Doc, rows: Sequence[Doc]) -> str:
    comparison = doc.get("comparison")
    if (isinstance(comparison, Mapping) and comparison.get("regressions")) or not any(r["asr"] for r in rows):
        return "bad"
    defended = [r for r in rows if r["defence"] != NONE]
    best: dict[tuple[str, str], float] = {}
    for r in defended:
        if r["difference"]:
            key = (r["task"], r["attack"])
            best[key] = min(best.get(key, 1.0), r["difference"]["high"])
    whole = defended and not any(r["errors"] for r in rows)
    return "good" if whole and all(high <= GONE for high in best.values()) else "warn"


def _entries(comparison: Any, key: str) -> list[dict[str, Any]]:
    found = comparison.get(key) if isinstance(comparison, Mapping) else None
    return [_NO_ENTRY | dict(e) for e in found or [] if isinstance(e, Mapping)]


def _fact(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _difference(rate: Doc | None) -> str:
    return f"{percent(rate['value'])} ({percent(rate['low'])} to {percent(rate['high'])})" if rate else "–"


def _md_rate(rate: Doc | None, row: Doc | None) -> str:
    if rate:
        return f"{percent(rate['value'])} ({percent(rate['low'])} to {percent(rate['high'])})"
    return "failed" if row and row["errors"] and not row["asr"] else "–"


def _md(value: Any) -> str:
    """Hostile text in Markdown: one line, nothing that starts markup or a cell."""
    text = " ".join(str(value).split())
    for char in "\\`*_[]<>|#!":
        text = text.replace(char, f"\\{char}")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    lines = [[_md(c) for c in head], ["---"] * len(head), *([_md(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
