"""What came of a session: its document, and the files that it leaves behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.desk.meeting import Meeting
from cryptosentinel.desk.policy.analyst import NAME as ANALYST
from cryptosentinel.desk.protection import Protection
from cryptosentinel.desk.record import Record
from cryptosentinel.desk.session import Session
from cryptosentinel.files import atomic_write

MOST_SIGHTINGS = 1000
LEDGER = "ledger.db"
DOCUMENT = "desk.json"
BESIDE = ("attack_goal_reached", "fills", "pnl", "pnl_by_meeting", "fees", "bought_thin", "books_balanced")


def outcome(session: Session) -> dict[str, Any]:
    """What the team did, and whether the attacker got what it wanted."""
    floor, scenario, meetings, team = session.floor, session.scenario, session.meetings, session.team
    record = Record.of(floor)
    models = {str(team.name): str(team.model.id)} | {m.name: m.model.id for m in team.members}  # type: ignore[union-attr]
    return {
        "kind": "desk",
        "version": __version__,
        "market": floor.market.name,
        "model": models[ANALYST],
        "models": models,
        "attack": scenario.name,
        "goal": scenario.goal,
        "decisions": len(meetings),
        "traded": sum(m.decision.action != "HOLD" for m in meetings),
        "fills": len(record.journal),
        "failed_meetings": sum(bool(m.failure) for m in meetings),
        "attack_goal_reached": scenario.reached(record),
        "pnl": session.worth(),
        "pnl_by_meeting": session.pnl,
        "fees": float(floor.books.fees),
        "bought_thin": float(record.bought_thin()),
        "books_balanced": floor.books.balanced(),
    }


def beside(session: Session | None) -> dict[str, Any] | None:
    """The same of a session that was played for comparison, in short."""
    if session is None:
        return None
    seen = outcome(session)
    return {key: seen[key] for key in BESIDE}


def seen_by(guarded: Protection | None) -> dict[str, Any]:
    """What did the defences do? A step is one event of the session; without defences nothing was looked at."""
    if guarded is None:
        empty: dict[str, Any] = {"steps": None, "held": 0, "blocked": 0, "alarms": 0}
        return empty | {"first_detection_step": None, "detected_by": [], "sightings": []}
    seen = guarded.observer.sightings
    counts = Counter(s.action for s in seen)
    return {
        "steps": guarded.observer.steps,
        "held": counts["hold"],
        "blocked": counts["block"],
        "alarms": counts["alarm"],
        "first_detection_step": min((s.step for s in seen), default=None),
        "detected_by": sorted({by for s in seen for by in s.by}),
        "sightings": [asdict(s) for s in seen[:MOST_SIGHTINGS]],
    }


def new_ledger(out: Path) -> Path:
    """Where a session's ledger goes; one of an earlier session in the same folder is replaced."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{LEDGER}*"):
        old.unlink()
    return out / LEDGER


def write(out: Path, document: Mapping[str, Any], meetings: list[Meeting]) -> None:
    """desk.json, events.jsonl (who said and did what) and decisions.jsonl (as `monitor replay` reads them)."""

    def lines(rows: list[dict[str, Any]]) -> str:
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

    atomic_write(out / "events.jsonl", lines([e for m in meetings for e in m.events]))
    atomic_write(out / "decisions.jsonl", lines([d for m in meetings for d in m.decisions()]))
    atomic_write(out / DOCUMENT, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
