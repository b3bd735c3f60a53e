"""The transcript of a campaign for people: what the RedTeamAgent did, step by step, and what came back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from cryptosentinel.redteam.transcript import told
from cryptosentinel.report.page import render
from cryptosentinel.report.text import plural

LONGEST = 2400  # characters of arguments and results that are shown
TITLES = {
    "propose_trigger": "proposed a trigger",
    "build_poison": "wrote poisoned rows",
    "reflect": "reflected on them",
    "fine_tune": "fine-tuned the copies in the sandbox",
    "evaluate": "measured them",
    "report": "closed the campaign",
}


def render_campaign(doc: Mapping[str, Any]) -> str:
    """A self-contained HTML page from a recorded campaign; loads nothing, every text escaped."""
    return render("campaign.html.j2", run=campaign_view(doc))


def campaign_view(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What the template needs: the outcome in a sentence, the attempts, the steps."""
    steps = [dict(s) for s in doc.get("steps") or [] if isinstance(s, Mapping)]
    outcome = doc.get("outcome") if isinstance(doc.get("outcome"), Mapping) else {}
    scope = doc.get("scope") if isinstance(doc.get("scope"), Mapping) else {}
    return {
        "headline": _headline(str(doc.get("status") or ""), outcome or {}, steps),
        "state": "good" if doc.get("status") == "done" else "warn",
        "driver": str(doc.get("driver") or ""),
        "run": str(doc.get("run") or ""),
        "when": _clock(doc.get("time")),
        "replay_of": str(doc.get("replay_of") or ""),
        "reason": str((outcome or {}).get("reason") or ""),
        "scope": {str(k): v for k, v in (scope or {}).items() if v is not None},
        "attempts": attempts_view(_attempts(steps)),
        "steps": [step_view(s) for s in steps],
    }


def step_view(step: Mapping[str, Any]) -> dict[str, Any]:
    """One step: what was done, with what, and what came back or why it was refused."""
    tool, result = str(step.get("tool") or ""), step.get("result")
    return {
        "tool": tool,
        "title": TITLES.get(tool, tool),
        "seconds": step.get("seconds"),
        "error": str(step.get("error") or ""),
        "told": _told(tool, result),
        "given": _text(step.get("arguments")),
        "result": _text(result),
    }


def _told(tool: str, result: Any) -> str:
    """What came back, in a line; nothing where the document is not what a campaign writes."""
    if not isinstance(result, Mapping) or not result:
        return ""
    try:
        return told(tool, result)
    except (AttributeError, TypeError, ValueError):
        return ""


def attempts_view(attempts: Any) -> list[dict[str, Any]]:
    """The attempts of a campaign as rows of a table, whatever is missing."""
    rows = []
    for given in attempts if isinstance(attempts, list) else []:
        if not isinstance(given, Mapping):
            continue
        rates = given.get("rates") if isinstance(given.get("rates"), Mapping) else {}
        stealth = given.get("stealth") if isinstance(given.get("stealth"), Mapping) else {}
        counts = given.get("reflection") if isinstance(given.get("reflection"), Mapping) else {}
        rows.append(
            {
                "number": given.get("number"),
                "trigger": str(given.get("trigger") or ""),
                "attack": f"{given.get('attack') or ''} {given.get('variant') or ''}".strip(),
                "rows": given.get("rows"),
                "dropped": (counts or {}).get("dropped"),
                "stealth": _number((stealth or {}).get("score")),
                "asr": {m: _value(rates or {}, m) for m in ("clean", "undefended", "defended")},
            }
        )
    return rows


def _attempts(steps: list[dict[str, Any]]) -> Any:
    """What the last report said of them."""
    reports = [s.get("result") for s in steps if s.get("tool") == "report" and not s.get("error")]
    return reports[-1].get("attempts") if reports and isinstance(reports[-1], Mapping) else []


def _headline(status: str, outcome: Mapping[str, Any], steps: list[dict[str, Any]]) -> str:
    told = f"in {plural(len(steps), 'step')}"
    if status == "done" and "same" in outcome:
        return f"Replayed {told}: {'the same rows and rates' if outcome['same'] else 'something else came out'}"
    if status == "done":
        return f"The goal was {'reached' if outcome.get('goal_reached') else 'not reached'} {told}"
    return f"The campaign {'failed' if status == 'failed' else 'did not end'} {told}"


def _value(rates: Mapping[str, Any], model: str) -> dict[str, float] | None:
    of_model = rates.get(model)
    rate = of_model.get("asr") if isinstance(of_model, Mapping) else None
    if not isinstance(rate, Mapping) or any(_number(rate.get(key)) is None for key in ("value", "low", "high")):
        return None
    return {key: float(rate[key]) for key in ("value", "low", "high")}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    if not value:
        return ""
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters"


def _clock(at: Any) -> str:
    given = _number(at)
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(given)) if given is not None and 0 <= given < 4e9 else ""
