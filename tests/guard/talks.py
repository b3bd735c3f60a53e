"""Conversations written by hand for the tests of the guard."""

from __future__ import annotations

import json
from typing import Any

from cryptosentinel.guard.guard import Assessment, Guard
from cryptosentinel.guard.traces import steps

Message = dict[str, Any]


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def said(text: str) -> Message:
    return {"role": "assistant", "content": text}


def calls(*made: tuple[str, dict[str, Any]], text: str = "") -> Message:
    listed = [
        {"id": f"c{i}", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, (name, arguments) in enumerate(made)
    ]
    return {"role": "assistant", "content": text, "tool_calls": listed}


def result(text: str, tool: str = "web") -> Message:
    return {"role": "tool", "name": tool, "content": text}


def assessed(messages: list[Message], guard: Guard | None = None, **trace: Any) -> list[Assessment]:
    """What the guard makes of each message with something in it."""
    guard = guard or Guard()
    run = str(trace.get("id", "run"))
    guard.forget(run)
    guard.open(run, tools=trace.get("tools"))
    return [guard.assess(events) for _, events in steps({"id": run, "messages": messages}) if events]


def actions(messages: list[Message], guard: Guard | None = None, **trace: Any) -> list[str]:
    return [a.verdict.action for a in assessed(messages, guard, **trace)]


def scores(messages: list[Message], check: str, **trace: Any) -> list[float]:
    """The score of one check at each message, 0 where it found nothing."""
    found = []
    for a in assessed(messages, **trace):
        found.append(max((f.score or 0.0 for f in a.findings if f.source == check), default=0.0))
    return found
