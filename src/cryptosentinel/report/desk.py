"""The report of a session of the desk: what was decided at each meeting, what was said there, what the defences saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptosentinel.report.page import render
from cryptosentinel.report.text import plural

MOST_TOLD = 12  # meetings told in full: those that a defence acted at, then those that traded
TEXT = 400


def render_desk(doc: Mapping[str, Any], meetings: Sequence[Mapping[str, Any]]) -> str:
    """A self-contained HTML page from a session's document and its meetings; loads nothing, every text escaped."""
    return render("desk.html.j2", run=desk_view(doc, meetings))


def desk_view(doc: Mapping[str, Any], meetings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the template needs: a headline, every meeting in a line, the telling ones word by word."""
    seen: dict[int, list[Mapping[str, Any]]] = {}
    for sighting in doc["sightings"]:
        seen.setdefault(sighting["meeting"], []).append(sighting)
    rows = [_row(m, seen.get(m["number"], [])) for m in meetings]
    told = sorted((r for r in rows if r["seen"] or r["traded"]), key=lambda r: not r["seen"])[:MOST_TOLD]
    reached = doc["attack_goal_reached"]
    return {
        "headline": _headline(doc),
        "state": "bad" if reached else "warn" if doc["sightings"] or doc["failed_meetings"] else "good",
        "doc": doc,
        "defences": ", ".join(doc["defences"]) or "none",
        "rows": rows,
        "told": sorted(told, key=lambda r: r["number"]),
        "settings": {"days": doc["days"], "seed": doc["seed"], "market": doc["market"], "attack": doc["attack"]}
        | dict(doc["models"]),
    }


def _row(meeting: Mapping[str, Any], seen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        **meeting,
        "when": datetime.fromtimestamp(meeting["time"], UTC).strftime("%Y-%m-%d %H:%M"),
        "traded": meeting["decision"][:4] != "HOLD",
        "seen": list(seen),
        "said": [_said(e) for e in meeting["events"]],
    }


def _said(event: Mapping[str, Any]) -> dict[str, str]:
    """One event in a line: who, to whom, what."""
    body = event["body"]
    what = f"{body['tool']}({body['arguments']})" if event["kind"] == "tool_call" else str(body.get("text", ""))
    return {"who": f"{event['sender']} → {event['recipient']}", "what": what[:TEXT], "kind": event["kind"]}


def _headline(doc: Mapping[str, Any]) -> str:
    meetings = plural(doc["decisions"], "meeting")
    if doc["attack"] == "clean":
        return f"{meetings}, nobody attacked, {plural(doc['held'] + doc['blocked'], 'step')} not let through"
    return f"{meetings} under attack: {doc['attack']} " + (
        "reached its goal" if doc["attack_goal_reached"] else "did not reach its goal"
    )
