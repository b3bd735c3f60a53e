"""The report of a session of the desk: what was decided at each meeting, what was said there, what the defences saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptosentinel.report.page import render
from cryptosentinel.report.text import plural

MOST_TOLD = 40  # meetings told in full: those that a defence acted at, then those that traded
TEXT = 400
NOT_THROUGH = ("Held.", "Blocked.", "Stopped.")  # what an agent reads in place of what it asked for


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
        "more": sum(bool(r["seen"] or r["traded"]) for r in rows) - len(told),
        "curves": _curves(doc),
        "marks": [number + 1 for number in seen],
        "settings": {"days": doc["days"], "seed": doc["seed"], "market": doc["market"], "attack": doc["attack"]}
        | dict(doc["models"]),
    }


def _row(meeting: Mapping[str, Any], seen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        **meeting,
        "when": datetime.fromtimestamp(meeting["time"], UTC).strftime("%Y-%m-%d %H:%M"),
        "traded": meeting["decision"][:4] != "HOLD",
        "seen": list(seen),
        "said": _timeline(meeting["events"], seen),
    }


def _timeline(events: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One event a line: who, to whom, what; and which defence kept it from happening."""
    waiting = [s for s in seen if s["action"] in ("hold", "block")]
    rows = []
    for event in events:
        body = event["body"]
        what = f"{body['tool']}({body['arguments']})" if event["kind"] == "tool_call" else str(body.get("text", ""))
        stop = next((s for s in waiting if what.startswith(NOT_THROUGH) and _is_about(s, event)), None)
        if stop is not None:
            waiting.remove(stop)
        by = f"{stop['action']}, {'+'.join(stop['by'])}" if stop else ""
        who = f"{event['sender']} → {event['recipient']}"
        rows.append({"who": who, "what": what[:TEXT], "kind": event["kind"], "by": by})
    return rows


def _is_about(sighting: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    return sighting["agent"] == event["agent"] and sighting["what"] in (event["body"].get("tool"), event["kind"])


def _curves(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Profit and loss by meeting, by name; without defences too if that was played."""
    name = "with defences" if doc["defences"] else "without defences"
    found = {name: doc["pnl_by_meeting"]}
    if doc["undefended"]:
        found["without defences"] = doc["undefended"]["pnl_by_meeting"]
    return found


def _headline(doc: Mapping[str, Any]) -> str:
    meetings = plural(doc["decisions"], "meeting")
    if doc["attack"] == "clean":
        return f"{meetings}, nobody attacked, {plural(doc['held'] + doc['blocked'], 'step')} not let through"
    return f"{meetings} under attack: {doc['attack']} " + (
        "reached its goal" if doc["attack_goal_reached"] else "did not reach its goal"
    )
