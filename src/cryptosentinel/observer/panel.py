"""What do the guard, the rules, the monitor and the facts say of a step? Whatever fails is written down as failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from cryptosentinel.agentspec import Engine, Signals, judge
from cryptosentinel.errors import DataError
from cryptosentinel.observer.read import unreadable
from cryptosentinel.observer.ruling import Draft, worst
from cryptosentinel.policy import SEVERITY, Policy
from cryptosentinel.types import Event, EventKind, Finding, Ref, Verdict

DIMENSIONS = ("suspicion", "consistency", "safety")


class Assessed(Protocol):
    """What a guard says of one step."""

    @property
    def scores(self) -> Any:
        """Suspicion, consistency and safety, as attributes or by name."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What was seen."""
        ...

    @property
    def verdict(self) -> Verdict:
        """What is to be done."""
        ...


class Judging(Protocol):
    """A guard: it judges a step, by what came before it in the same run."""

    def assess(self, events: Sequence[Event]) -> Assessed:
        """Judge what happens at once."""
        ...


class Watching(Protocol):
    """A monitor: which drift alarms have gone off?"""

    def alarms(self, event: Event) -> Mapping[str, bool]:
        """Stream -> has its alarm gone off, this event included?"""
        ...


class Panel:
    """Everyone who is asked about a step, each on its own: one that fails does not keep the others from speaking.

    Args: as for `Observer`.
    """

    def __init__(
        self,
        engine: Engine | None,
        guard: Judging | None,
        monitor: Watching | None,
        facts: Callable[[Event], Mapping[str, Any]] | None,
        policy: Policy,
        consequential: Collection[EventKind],
    ) -> None:
        """Nobody is asked yet."""
        self.engine, self.guard, self.monitor, self.facts = engine, guard, monitor, facts
        self.policy, self.consequential = policy, frozenset(consequential)

    def judge(self, events: Sequence[Event]) -> list[Draft]:
        """What do guard, rules and monitor say?"""
        drafts = [Draft(event) for event in events]
        scores = self._ask_guard(drafts)
        for draft in drafts:
            if problem := unreadable(draft.event):
                self.fails(draft, "event", DataError(problem))
            draft.scores = dict(scores)
            event, alarms, facts = draft.event, None, {}
            try:
                alarms = dict(self.monitor.alarms(event)) if self.monitor else None
            except Exception as error:  # a monitor of anyone's
                self.fails(draft, "monitor", error)
            try:
                facts = dict(self.facts(event)) if self.facts else {}
            except Exception as error:  # the operator's own systems
                self.fails(draft, "facts", error)
            if self.engine is not None:
                draft.firings = self.engine.check(event, Signals(scores, alarms, facts))
                draft.by_rules = judge(draft.firings).action
                for firing in draft.firings:
                    draft.add(firing.finding, judge([firing]).action != "allow")
        return drafts

    def _ask_guard(self, drafts: Sequence[Draft]) -> dict[str, float]:
        """The guard's scores; none if it failed. What it says of the step is said of each of its events."""
        if self.guard is None:
            return {}
        try:
            seen = self.guard.assess([d.event for d in drafts])
            scores = {name: _degree(getattr(seen.scores, name)) for name in DIMENSIONS}
            action, findings = seen.verdict.action, tuple(seen.findings)
            if action not in SEVERITY or not all(isinstance(f, Finding) for f in findings):
                raise TypeError(f"an assessment with action {action!r} and {len(findings)} findings")
        except Exception as error:  # a guard of anyone's
            for draft in drafts:
                self.fails(draft, "guard", error)
            return {}
        for place, draft in enumerate(drafts):
            draft.by_guard = action if self.matters(draft.event) or action == "block" else _at_most_flag(action)
            for finding in findings if place == 0 else ():
                draft.add(finding, action != "allow" and (finding.status == "error" or bool(finding.score)))
            if place:
                draft.findings.extend(drafts[0].findings[: len(findings)])
                draft.because.extend(drafts[0].because)
        return scores

    def matters(self, event: Event) -> bool:
        """Is this an event that is held when something failed?"""
        return event.kind in self.consequential

    def fails(self, draft: Draft, source: str, error: Exception) -> None:
        """Write down that this part failed, and what the policy makes of it."""
        finding = Finding(source, 1, Ref("event", draft.event.id), None, "error", f"{source} failed: {said(error)}")
        draft.add(finding, True)
        action = self.policy.judge([("", finding)]).action
        draft.by_error = worst((draft.by_error, action if self.matters(draft.event) else _at_most_flag(action)))

    def unjudged(self, event: Event, reason: str) -> Draft:
        """A draft of which nothing is known but that nobody could judge it."""
        draft = Draft(event)
        self.fails(draft, "observer", RuntimeError(reason))
        return draft


def _at_most_flag(action: str) -> Any:
    return "allow" if action == "allow" else "flag"


def _degree(value: Any) -> float:
    degree = float(value)
    if not 0.0 <= degree <= 1.0 or math.isnan(degree):
        raise ValueError(f"a score of {degree}, outside [0, 1]")
    return degree


def said(error: BaseException) -> str:
    """An error in one line.

    >>> said(ValueError("no"))
    'ValueError: no'
    """
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
