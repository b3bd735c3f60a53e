"""What a verdict asks for is carried out: a person is asked, an action taken, the agent told."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from cryptosentinel.agentspec import Decision, Firing, Inspection, Inspector, inspect
from cryptosentinel.agentspec.engine import HOLD
from cryptosentinel.deadline import within
from cryptosentinel.observer.plain import plain
from cryptosentinel.observer.ruling import Draft, Ruling, told
from cryptosentinel.types import Event, Finding, Ref

NAME = "observer"
EXAMINE = "Look again before anything happens: does this follow from what the user asked, and from nothing else? "
EXAMINE += "If it does, say why and ask once more; a person then decides. If it does not, leave it."
REJECTED = "Do not try it again in another form; go on without it, or say that it was not allowed."


class Enforcer:
    """Carries out what is to be done about an event. Everything it waits for is bounded.

    Args:
        inspector: the person who decides what is held; None: held is rejected.
        actions: what `invoke_action` may call.
        timeout_s: for one action.
        inspect_timeout_s: for one person's decision.
    """

    def __init__(
        self,
        inspector: Inspector | None,
        actions: Mapping[str, Callable[[Mapping[str, Any]], object]],
        timeout_s: float,
        inspect_timeout_s: float,
    ) -> None:
        """Nothing is carried out yet."""
        self._inspector, self._actions = inspector, actions
        self._timeout_s, self._inspect_timeout_s = timeout_s, inspect_timeout_s
        self._examined: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def rule(self, draft: Draft) -> Ruling:
        """Carry out what this draft calls for; returns what became of it."""
        done = self._act(draft)
        action, event = draft.action, draft.event
        if action in ("allow", "flag"):
            return _ruling(draft, action)
        reasons = draft.reasons()
        names = {m.name for f in draft.firings for m in f.measures if f.finding.status == "evaluated"}
        if action == "block":
            stops = "stop" in names
            advice = "This run ends here." if stops else REJECTED
            return _ruling(draft, "block", told(event, "Blocked.", reasons, advice), stops=stops)
        in_doubt = draft.by_guard == "hold" or draft.by_error == "hold" or _undecided(draft)
        if not in_doubt and "user_inspection" not in names:
            if "llm_self_examine" in names and self._first_time(event):
                return _ruling(draft, "hold", told(event, "Held.", reasons, EXAMINE))
            if done and "llm_self_examine" not in names:
                instead = f"Instead, the operator's {', '.join(done)} was called."
                return _ruling(draft, "hold", told(event, "Held.", reasons, instead))
        decision = self._ask(draft)
        if decision.is_approved:
            return _ruling(draft, "allow", approved_by=decision.by or "operator")
        why = f"Nobody approved it: {decision.reason}." if decision.reason else "A person rejected it."
        return _ruling(draft, "hold", told(event, "Held.", reasons, f"{why} {REJECTED}"))

    def forget(self, run_id: str) -> None:
        """Drop what is kept of a run."""
        with self._lock:
            self._examined.pop(run_id, None)

    def _ask(self, draft: Draft) -> Decision:
        if self._inspector is None:
            return Decision(False, "", "there is nobody to ask")
        firings = list(draft.firings)
        rules = {id(f.finding) for f in firings}
        because = set(draft.because)
        others = [f for name, f in draft.findings if name in because and id(f) not in rules]
        firings += [Firing(finding.source, finding, HOLD) for finding in others]
        decision = inspect(self._inspector, Inspection(draft.event, tuple(firings), self._inspect_timeout_s))
        reason = f"{decision.by or 'nobody'}: {decision.reason or ('approved' if decision.is_approved else 'rejected')}"
        score = 0.0 if decision.is_approved else 1.0
        draft.add(Finding("inspection", 1, Ref("event", draft.event.id), score, "evaluated", reason), True)
        return decision

    def _act(self, draft: Draft) -> list[str]:
        """Call what rules that fired want to be called; what failed is a finding and holds."""
        done: list[str] = []
        for measure in (m for f in draft.firings if f.finding.status == "evaluated" for m in f.measures if m.action):
            name, where = measure.action, Ref("event", draft.event.id)
            arguments = plain(measure.arguments)
            try:
                act = self._actions[name]
                within(self._timeout_s, lambda late, act=act, arguments=arguments: act(arguments))  # type: ignore[misc]
            except Exception as error:  # the operator's own code
                said = f"no action is called {name!r}" if isinstance(error, KeyError) else f"{error}"
                reason = f"invoke_action({name}) failed: {type(error).__name__}: {said}"
                draft.add(Finding("action", 1, where, None, "error", reason), True)
                draft.by_error = "hold"
            else:
                draft.add(Finding("action", 1, where, 0.0, "evaluated", f"{name} was called", arguments), False)
                done.append(name)
        return done

    def _first_time(self, event: Event) -> bool:
        """Has the agent not been told yet to examine this? What it asks for again goes to a person."""
        what = plain({k: v for k, v in event.body.items() if k not in ("call_id", "run")})
        key = hashlib.sha256(json.dumps([event.agent, event.kind, what], sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self._examined.setdefault(event.run_id, set())
            if key in known:
                return False
            known.add(key)
            return True


def _undecided(draft: Draft) -> bool:
    return any(f.finding.status == "error" for f in draft.firings)


def _ruling(draft: Draft, action: Any, message: str = "", *, stops: bool = False, approved_by: str = "") -> Ruling:
    because, found = tuple(draft.because), tuple(draft.findings)
    return Ruling(action, because, NAME, message, stops, approved_by, draft.scores, found)
