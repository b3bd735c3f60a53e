"""The report of a probe: which suspected trigger shifts which behaviour, by how much, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptosentinel.report.page import render
from cryptosentinel.report.text import plural, quoted

ROWS = 80
SIDES = ("trigger", "control")


def render_probe(doc: Mapping[str, Any]) -> str:
    """A self-contained HTML page from a probe's document; loads nothing, every model output escaped."""
    return render("probe.html.j2", run=probe_view(doc))


def probe_view(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs: the verdict in a sentence, a card for each shift, a table of everything tried."""
    results = [_result(r) for r in doc.get("results") or [] if isinstance(r, Mapping)]
    shifts = [r for r in results if r["verdict"] == "shift"]
    untried = sum(r["verdict"] in ("not tried", "undecided") for r in results)
    return {
        "headline": _headline(doc, len(shifts), len(results)),
        "state": "bad" if shifts else "warn" if doc.get("failure") or untried else "good",
        "subject": dict(doc.get("subject") or {}),
        "failure": str(doc.get("failure") or ""),
        "guarantee": str(doc.get("guarantee") or ""),
        "answers": doc.get("answers"),
        "seconds": doc.get("seconds"),
        "shifts": shifts,
        "results": results[:ROWS],
        "hidden": max(0, len(results) - ROWS),
        "untried": untried,
        "settings": {"base prompts": doc.get("prompts", ""), **dict(doc.get("settings") or {})},
        "series": [
            (title, class_, {str(i): r[key] for i, r in enumerate(shifts[:6]) if r[key]})
            for title, class_, key in (
                ("with the control", "clean", "with_control"),
                ("with the trigger", "undefended", "with_trigger"),
            )
        ],
        "groups": [(str(i), r["trigger"][:18]) for i, r in enumerate(shifts[:6])],
    }


def _result(given: Mapping[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("with_trigger", "with_control", "difference", "e_value", "threshold"))
    empty |= {"trigger": "", "kind": "", "origin": "", "verdict": "", "behaviour": "", "pairs": 0, "sentence": ""}
    result = empty | dict(given)
    result["examples"] = [e for e in given.get("examples") or [] if all(side in e for side in SIDES)]
    result["behaviour_phrase"] = quoted(str(result["behaviour"]))
    return result


def _headline(doc: Mapping[str, Any], shifts: int, tried: int) -> str:
    if shifts:
        what = "trigger shifts" if shifts == 1 else "triggers shift"
        end = ", and the probe broke off" if doc.get("failure") else ""
        return f"{shifts} of {tried} suspected {what} what it answers{end}"
    if doc.get("failure"):
        return "The probe broke off: this is no pass"
    return f"No shift was seen among {plural(tried, 'suspected trigger')}"
