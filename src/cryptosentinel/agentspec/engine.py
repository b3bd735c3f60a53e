"""The rules at work: each event is judged as it comes, in the light of those before it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cryptosentinel.agentspec.amounts import UnreadableError
from cryptosentinel.agentspec.book import RuleBook
from cryptosentinel.agentspec.compile import TotalOf, build, compiled
from cryptosentinel.agentspec.context import NO_SIGNALS, Context, Signals, tool_of
from cryptosentinel.agentspec.evidence import evidence
from cryptosentinel.agentspec.problems import shown
from cryptosentinel.agentspec.signature import Test
from cryptosentinel.agentspec.syntax import Aggregate, Enforcement, Literal_, Predicate, Rule, Window
from cryptosentinel.agentspec.totals import Total
from cryptosentinel.agentspec.write import condition
from cryptosentinel.policy import Policy
from cryptosentinel.types import Event, Finding, Ref, Verdict

SOURCE, VERSION = "agentspec", 1
SCORES: Mapping[str, float] = {  # what a rule that fires says, by its strongest enforcement
    "stop": 1.0, "skip": 1.0, "user_inspection": 0.7, "llm_self_examine": 0.6, "invoke_action": 0.6, "none": 0.0,
}  # fmt: skip
POLICY = Policy("agentspec", flag_at=0.3, hold_at=0.5, block_at=0.9)


@dataclass(frozen=True, slots=True)
class Measure:
    """What is to be done about an event: the guard carries it out.

    `action` and `arguments` are invoke_action's; `note` is what the rule tells the person who inspects.
    """

    name: str
    action: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


HOLD = (Measure("user_inspection"),)


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that fired, or that could not be decided (the finding's status is then "error", the measure a hold).

    `rule` is "event" where the event itself could not be used, so that no rule could be chosen.
    """

    rule: str
    finding: Finding
    measures: tuple[Measure, ...]


class _Running:
    """One rule, ready to judge."""

    __slots__ = ("observers", "rule", "score", "test", "total_of", "written")

    def __init__(self, rule: Rule, totals: _Totals) -> None:
        self.rule = rule
        self.observers: list[Any] = []
        self.total_of = totals.of(rule)
        self.test = compiled(rule.condition, self.total_of, self._build)
        self.score = max(SCORES[e.name] for e in rule.enforcements)
        self.written = condition(rule.condition)

    def _build(self, predicate: Predicate) -> Test:
        test = build(predicate)
        if hasattr(test, "observe"):
            self.observers.append(test)
        return test


class Engine:
    """Which rules does this event break? Judges one event at a time, never by what comes later.

    Every event of a run must be shown to it, in order: windows count what it was shown, allowed or not. Safe to use
    from several threads. Nothing changes the rules, no event either: whoever starts the guard loads them.

    >>> book = RuleBook.parse("rule @big trigger swap check arg.amount >= 1_000 enforce user_inspection end")
    >>> body = {"tool": "swap", "arguments": {"amount": 2500}}
    >>> swap = Event("e1", 0.0, "run", "Trader", "tool_call", "Trader", "dex", body)
    >>> firing, = Engine(book).check(swap)
    >>> firing.rule, firing.measures[0].name, firing.finding.reason
    ('big', 'user_inspection', "rule @big: 'swap' by 'Trader': arg.amount >= 1000")
    >>> judge([firing]).action
    'hold'
    """

    def __init__(self, book: RuleBook) -> None:
        """Begin with no history."""
        self._lock = threading.Lock()
        self._totals = _Totals()
        self._rules: dict[str, list[tuple[int, _Running]]] = {}
        self._running = [_Running(rule, self._totals) for rule in book.rules]
        for place, running in enumerate(self._running):
            for key in {_key(t.name, t.is_tool) for t in running.rule.triggers}:
                self._rules.setdefault(key, []).append((place, running))
        self._tools = {k.partition("/")[2] for k in (*self._rules, *self._totals.by_key)} - {""}
        self._plans: dict[tuple[str, str, str, bool], tuple[Sequence[_Running], Sequence[Total]]] = {}

    def check(self, event: Event, signals: Signals = NO_SIGNALS) -> list[Firing]:
        """What do the rules say about this event? Empty: none of them fires.

        A rule that cannot be decided, because a value or signal is missing or of another kind, or a predicate raised,
        is a firing with a finding of status "error": the policy holds it.
        """
        if problem := _unusable(event):
            return [Firing("event", _finding(event, "error", problem), HOLD)]
        with self._lock:
            rules, totals = self._plan(event)
            context = Context(event, signals)
            for total in totals:
                total.add(context)
            return _judged(rules, context)

    def forget(self, run_id: str) -> None:
        """Drop the history of a run that is over; were it to go on, its windows would be empty."""
        with self._lock:
            for total in self._totals.made.values():
                total.forget(run_id)
            for running in self._running:
                for observer in running.observers:
                    if hasattr(observer, "forget"):
                        observer.forget(run_id)

    def _plan(self, event: Event) -> tuple[Sequence[_Running], Sequence[Total]]:
        tool = tool_of(event)
        last = tool.rpartition(".")[2]
        known = (tool if tool in self._tools else "", last if last in self._tools else "")
        final = event.body.get("final") is True
        plan = self._plans.get((event.kind, *known, final))
        if plan is None:
            keys = [
                key for e in _events(event.kind, final) for key in (e, *(f"{e}/{t}" for t in sorted(set(known)) if t))
            ]
            placed = {place: running for key in keys for place, running in self._rules.get(key, ())}
            totals = {id(t): t for key in keys for t in self._totals.by_key.get(key, ())}
            plan = [placed[place] for place in sorted(placed)], list(totals.values())
            self._plans[event.kind, *known, final] = plan
        return plan


class _Totals:
    """Every aggregate of a book, each counted once however many rules ask for it."""

    def __init__(self) -> None:
        self.made: dict[tuple[Aggregate, frozenset[str]], Total] = {}
        self.by_key: dict[str, list[Total]] = {}

    def of(self, rule: Rule) -> TotalOf:
        triggers = frozenset(_key(t.name, t.is_tool) for t in rule.triggers)

        def total_of(aggregate: Aggregate) -> Total:
            window = aggregate.window
            keys = frozenset(_window_keys(window)) or triggers
            known = (replace(aggregate, window=replace(window, events=(), tools=())), keys)
            if known not in self.made:
                self.made[known] = Total(aggregate)
                for key in keys:
                    self.by_key.setdefault(key, []).append(self.made[known])
            return self.made[known]

        return total_of


def judge(firings: Iterable[Firing], policy: Policy = POLICY) -> Verdict:
    """What is done with the event, and because of which rules?"""
    return policy.judge([(f.rule, f.finding) for f in firings])


def _judged(rules: Sequence[_Running], context: Context) -> list[Firing]:
    firings: list[Firing] = []
    for running in rules:
        try:
            for observer in running.observers:
                observer.observe(context)
            outcome: object = running.test(context)
            if outcome is not False:
                firings.append(_fired(running, context, outcome))
        except Exception as error:  # one rule of the book: it is held, the others are still judged
            firings.append(_undecided(running.rule, context.event, error))
    return firings


def _fired(running: _Running, context: Context, outcome: object) -> Firing:
    if outcome is not True:
        raise UnreadableError(f"a predicate answered {type(outcome).__name__}, neither true nor false")
    event, rule = context.event, running.rule
    measures = tuple(_measure(e, context) for e in rule.enforcements)
    reason = f"rule @{rule.id}: {shown(tool_of(event) or event.kind)} by {shown(event.agent)}: {running.written}"
    numbers = evidence(rule, context, running.total_of) | {"enforce": [m.name for m in measures]}
    return Firing(rule.id, _finding(event, running.score, reason, numbers), measures)


def _undecided(rule: Rule, event: Event, error: Exception) -> Firing:
    said = str(error) if isinstance(error, UnreadableError) else f"{type(error).__name__}: {shown(str(error))}"
    reason = f"rule @{rule.id} could not be decided: {said}"
    return Firing(rule.id, _finding(event, "error", reason, {"rule": rule.id, "line": rule.at[0]}), HOLD)


def _measure(of: Enforcement, context: Context) -> Measure:
    if not of.action:
        return Measure(of.name, note=of.note)
    given = {k: _plain(v) if isinstance(v, Literal_) else context.value(v) for k, v in of.arguments}
    return Measure(of.name, of.action, given)


def _plain(literal: Literal_) -> Any:
    if isinstance(literal.value, tuple):
        return [_plain(item) for item in literal.value]
    return literal.value


def _finding(event: Event, score: float | str, reason: str, numbers: Mapping[str, Any] | None = None) -> Finding:
    subject = Ref("event", event.id)
    if isinstance(score, str):
        return Finding(SOURCE, VERSION, subject, None, "error", reason, numbers or {})
    return Finding(SOURCE, VERSION, subject, score, "evaluated", reason, numbers or {})


def _unusable(event: Event) -> str:
    if not math.isfinite(event.time):
        return f"the event's time is {event.time}"
    if event.kind in ("tool_call", "tool_result") and not tool_of(event):
        return f"the {event.kind} names no tool, so no rule can be chosen"
    return ""


def _events(kind: str, final: bool) -> list[str]:
    found = ["any"]
    found += {
        "tool_call": ["before_action"],
        "tool_result": ["after_action", "state_change"],
        "decision": ["state_change"],
        "message": ["message"],
    }.get(kind, [])
    return [*found, "finish"] if final else found


def _key(name: str, is_tool: bool) -> str:
    return f"before_action/{name}" if is_tool else name


def _window_keys(window: Window) -> list[str]:
    if not window.events:
        return [_key(tool, True) for tool in window.tools]
    return [f"{event}/{tool}" for event in window.events for tool in window.tools] or list(window.events)
