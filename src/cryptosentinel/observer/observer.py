"""May this happen? Rules, guard and monitor behind one question, which fails closed."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from cryptosentinel.agentspec import Engine, Firing, Inspector, RuleBook, Signals, judge
from cryptosentinel.deadline import aside, within
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.ledger import Ledger
from cryptosentinel.observer.enforce import Enforcer
from cryptosentinel.observer.read import as_event, unreadable
from cryptosentinel.observer.record import record
from cryptosentinel.observer.ruling import CONSEQUENTIAL, POLICY, Draft, Ruling, told, worst
from cryptosentinel.policy import SEVERITY, Policy
from cryptosentinel.types import Event, EventKind, Finding, Ref, Verdict

KEPT_RUNS, KEPT_RULINGS = 500, 200
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


class Observer:
    """The front of the run-time defences: what is shown to it is judged, carried out and written down, in that order.

    What fails (a check, a rule, the monitor, the facts, the ledger, the time limit) holds what is consequential and
    flags the rest; nothing is let through because a defence did not run. Safe to use from several threads.

    Args:
        rules: a book, an engine, or the path of a rule file; None: no rules.
        guard: a `Guard` or `SemanticGuard`; None: no guard.
        monitor: whom to ask for drift alarms.
        ledger: where events, findings and verdicts are written; an event that cannot be written is held.
        inspector: the person who decides what is held; without one, held is rejected.
        actions: what `invoke_action(name, {...})` of a rule calls, with these arguments.
        facts: what the operator's systems know about an event, for `fact.` in rules.
        policy: what a failed defence means; its thresholds are not used.
        consequential: kinds of events that are held when a defence failed or the guard is in doubt; others are flagged
            then. What a rule holds or blocks is held or blocked whatever its kind.
        timeout_s: for all judging of one step, and again for writing it down.
        inspect_timeout_s: how long a person is waited for.

    Raises:
        ConfigError, RulesError: the rule file is missing, empty or broken; a time limit of 0 or less.

    >>> book = RuleBook.parse("rule @big trigger swap check arg.amount >= 1_000 enforce stop end")
    >>> observer = Observer(book)
    >>> body = {"tool": "swap", "arguments": {"amount": 2500}}
    >>> ruling = observer.observe(Event("e1", 0.0, "run", "Trader", "tool_call", "Trader", "dex", body))
    >>> ruling.action, ruling.stops, ruling.because
    ('block', True, ('e1/agentspec',))
    """

    def __init__(
        self,
        rules: RuleBook | Engine | Path | str | None = None,
        guard: Judging | None = None,
        *,
        monitor: Watching | None = None,
        ledger: Ledger | None = None,
        inspector: Inspector | None = None,
        actions: Mapping[str, Callable[[Mapping[str, Any]], object]] | None = None,
        facts: Callable[[Event], Mapping[str, Any]] | None = None,
        policy: Policy = POLICY,
        consequential: Collection[EventKind] = CONSEQUENTIAL,
        timeout_s: float = 20.0,
        inspect_timeout_s: float = 300.0,
    ) -> None:
        """Load the rules; nothing is judged yet."""
        if not timeout_s > 0 or not inspect_timeout_s > 0:
            raise ConfigError(f"observer: time limits must be above 0 s, got {timeout_s} and {inspect_timeout_s}")
        book = RuleBook.load(Path(rules)) if isinstance(rules, str | Path) else rules
        self.engine = Engine(book) if isinstance(book, RuleBook) else book
        self.guard, self.monitor, self.ledger, self.facts = guard, monitor, ledger, facts
        self.policy, self.consequential, self.timeout_s = policy, frozenset(consequential), timeout_s
        self._enforcer = Enforcer(inspector, dict(actions or {}), timeout_s, inspect_timeout_s)
        self._stopped: set[tuple[str, str]] = set()
        self._history: OrderedDict[str, deque[tuple[Event, Ruling]]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, run_id: str, tools: Sequence[Any] | None = None, task: str | None = None) -> None:
        """Tell the guard which tools there are, with their descriptions, and what the task is; a run it knows stays.

        Args:
            run_id: the conversation.
            tools: as in an OpenAI request: {"type": "function", "function": {"name", "description"}}.
            task: what the user asked for, where that is no message of the run.
        """
        opening = getattr(self.guard, "open", None)
        if callable(opening):
            with suppress(ConfigError):
                opening(run_id, tools, task)

    def observe(self, event: Event) -> Ruling:
        """May this happen? Never raises: what cannot be judged is held."""
        return self.observe_batch([event])[0]

    async def aobserve(self, event: Event) -> Ruling:
        """The same, without holding up the event loop."""
        return (await self.aobserve_batch([event]))[0]

    async def aobserve_batch(self, events: Sequence[Event]) -> list[Ruling]:
        """As `observe_batch`, in a thread of its own: a person may be waited for."""
        return await aside(lambda: self.observe_batch(events))

    def observe_batch(self, events: Sequence[Event]) -> list[Ruling]:
        """May these happen? They are one step, as the parallel calls of one turn; a ruling for each, in order.

        The guard judges them together and what it says is said of each; rules judge them one by one. A `stop` for one
        blocks all.
        """
        usable = [as_event(event) for event in events]
        try:
            return self._rule(usable)
        except Exception as error:  # the last line of defence: whatever went wrong in here, nothing goes through
            return [self._held(event, f"the observer failed: {_said(error)}") for event in usable]

    def stop(self, run_id: str, run: str = "") -> None:
        """Let nothing of this run through any more. `run`: one run of a longer conversation, as in `body["run"]`."""
        with self._lock:
            self._stopped.add((run_id, run))

    def is_stopped(self, run_id: str, run: str = "") -> bool:
        """Has this run been stopped?"""
        with self._lock:
            return bool({(run_id, ""), (run_id, run)} & self._stopped)

    def release(self, run_id: str) -> None:
        """Let a stopped run go on: for the operator, never for an agent."""
        with self._lock:
            self._stopped = {known for known in self._stopped if known[0] != run_id}

    def forget(self, run_id: str) -> None:
        """Drop what is kept of a run that has ended: history, windows, conversation. A stop stays."""
        with self._lock:
            self._history.pop(run_id, None)
        self._enforcer.forget(run_id)
        for part in (self.engine, self.guard):
            forget = getattr(part, "forget", None)
            if callable(forget):
                forget(run_id)

    def history(self, run_id: str) -> list[tuple[Event, Ruling]]:
        """The latest events of this run, each with its ruling: at most 200."""
        with self._lock:
            return list(self._history.get(run_id, ()))

    def _rule(self, events: Sequence[Event]) -> list[Ruling]:
        if not events:
            return []
        if any(self.is_stopped(*_run_of(e)) for e in events):
            rulings = [_stopped(e) for e in events]
            return self._written([Draft(e) for e in events], rulings)
        try:
            drafts = within(self.timeout_s, lambda late: self._judge(events))
        except Exception as error:  # whoever judges is not part of this package
            drafts = [self._unjudged(event, f"the defences failed: {_said(error)}") for event in events]
        if any(_stops(d) for d in drafts):
            for draft in drafts:
                self.stop(*_run_of(draft.event))
            rulings = [self._enforcer.rule(d) if _stops(d) else _stopped(d.event) for d in drafts]
        else:
            rulings = [self._enforcer.rule(d) for d in drafts]
            if any(self.is_stopped(*_run_of(e)) for e in events):  # while a person was asked
                rulings = [_stopped(e) for e in events]
        return self._written(drafts, rulings)

    def _judge(self, events: Sequence[Event]) -> list[Draft]:
        """What do guard, rules and monitor say?"""
        drafts = [Draft(event) for event in events]
        scores = self._ask_guard(drafts)
        for draft in drafts:
            if problem := unreadable(draft.event):
                self._failed(draft, "event", DataError(problem))
            draft.scores = dict(scores)
            event, alarms, facts = draft.event, None, {}
            try:
                alarms = dict(self.monitor.alarms(event)) if self.monitor else None
            except Exception as error:  # a monitor of anyone's
                self._failed(draft, "monitor", error)
            try:
                facts = dict(self.facts(event)) if self.facts else {}
            except Exception as error:  # the operator's own systems
                self._failed(draft, "facts", error)
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
                self._failed(draft, "guard", error)
            return {}
        for place, draft in enumerate(drafts):
            draft.by_guard = action if self._matters(draft.event) or action == "block" else _at_most_flag(action)
            for finding in findings if place == 0 else ():
                draft.add(finding, action != "allow" and (finding.status == "error" or bool(finding.score)))
            if place:
                draft.findings.extend(drafts[0].findings[: len(findings)])
                draft.because.extend(drafts[0].because)
        return scores

    def _matters(self, event: Event) -> bool:
        return event.kind in self.consequential

    def _failed(self, draft: Draft, source: str, error: Exception) -> None:
        finding = Finding(source, 1, Ref("event", draft.event.id), None, "error", f"{source} failed: {_said(error)}")
        draft.add(finding, True)
        action = self.policy.judge([("", finding)]).action
        draft.by_error = worst((draft.by_error, action if self._matters(draft.event) else _at_most_flag(action)))

    def _unjudged(self, event: Event, reason: str) -> Draft:
        draft = Draft(event)
        self._failed(draft, "observer", RuntimeError(reason))
        return draft

    def _held(self, event: Event, reason: str) -> Ruling:
        if not self._matters(event):
            return Ruling("flag", (), self.policy.name)
        message = told(event, "Held.", [reason], "A person has to look at this.")
        return Ruling(self.policy.on_error, (), self.policy.name, message)

    def _written(self, drafts: Sequence[Draft], rulings: list[Ruling]) -> list[Ruling]:
        """The rulings, once they are in the ledger; what could not be written does not go through."""
        if self.ledger is not None:
            ledger = self.ledger
            try:
                within(self.timeout_s, lambda late: record(ledger, drafts, rulings, late))
            except Exception as error:  # locked, full, gone, or a driver's own
                reason = f"the ledger could not be written: {_said(error)}"
                rulings = [
                    r if not r.goes_through else self._held(d.event, reason)
                    for d, r in zip(drafts, rulings, strict=True)
                ]
        with self._lock:
            for draft, ruling in zip(drafts, rulings, strict=True):
                kept = self._history.setdefault(draft.event.run_id, deque(maxlen=KEPT_RULINGS))
                kept.append((draft.event, ruling))
                self._history.move_to_end(draft.event.run_id)
            while len(self._history) > KEPT_RUNS:
                self._history.popitem(last=False)
        return rulings


def _run_of(event: Event) -> tuple[str, str]:
    run = event.body.get("run", "")
    return event.run_id, run if isinstance(run, str) else ""


def _stops(draft: Draft) -> bool:
    return any(_is_stop(firing) for firing in draft.firings)


def _is_stop(firing: Firing) -> bool:
    return firing.finding.status == "evaluated" and any(m.name == "stop" for m in firing.measures)


def _stopped(event: Event) -> Ruling:
    message = told(event, "Stopped.", [], "This run has been stopped by a rule and does nothing more.")
    return Ruling("block", (), "observer", message, stops=True)


def _at_most_flag(action: str) -> Any:
    return "allow" if action == "allow" else "flag"


def _degree(value: Any) -> float:
    degree = float(value)
    if not 0.0 <= degree <= 1.0 or math.isnan(degree):
        raise ValueError(f"a score of {degree}, outside [0, 1]")
    return degree


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
