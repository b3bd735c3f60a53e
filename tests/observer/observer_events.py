"""Events and defences for the observer's tests: a swap that must not happen unless everything says that it may."""

from __future__ import annotations

from typing import Any

from cryptosentinel.guard.guard import Assessment
from cryptosentinel.guard.scorer import Scores
from cryptosentinel.types import Action, Event, Finding, Ref, Verdict

COUNT = iter(range(1, 1_000_000))


def swap(amount: Any = 10, run: str = "r", **body: Any) -> Event:
    made = {"tool": "swap", "arguments": {"token": "ABC", "amount": amount}} | body
    return Event(f"e{next(COUNT)}", 1.0, run, "Trader", "tool_call", "Trader", "dex", made)


def said(text: str, sender: str = "user", run: str = "r") -> Event:
    body = {"text": text, "role": "user" if sender == "user" else "assistant"}
    return Event(f"e{next(COUNT)}", 0.0, run, "Trader", "message", sender, "Trader", body)


class Says:
    """A guard that says the same of every step, and remembers the steps."""

    def __init__(self, action: Action = "allow", suspicion: float = 0.0) -> None:
        self.action, self.suspicion = action, suspicion
        self.steps: list[list[str]] = []

    def assess(self, events: Any) -> Assessment:
        self.steps.append([e.id for e in events])
        found = Finding("odd", 1, Ref("event", events[0].id), self.suspicion, reason="it is odd")
        because = ("odd",) if self.action != "allow" else ()
        return Assessment(Scores(self.suspicion, 0.0, self.suspicion), (found,), Verdict(self.action, because, "test"))
