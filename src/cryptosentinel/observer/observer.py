"""May this happen? Rules, guard and monitor behind one question, which fails closed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptosentinel.agentspec import Engine, Firing, Inspector, RuleBook
from cryptosentinel.deadline import aside, within
from cryptosentinel.errors import ConfigError
from cryptosentinel.ledger import Ledger
from cryptosentinel.observer.enforce import Enforcer
from cryptosentinel.observer.panel import Judging, Panel, Watching, said
from cryptosentinel.observer.read import as_event
from cryptosentinel.observer.record import record
from cryptosentinel.observer.ruling import CONSEQUENTIAL, POLICY, Draft, Ruling, told
from cryptosentinel.policy import Policy
from cryptosentinel.types import Event, EventKind

LOG = logging.getLogger("cryptosentinel.observer")
KEPT_RUNS, KEPT_RULINGS = 500, 200


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
        on_ruling: told of each ruling afterwards, such as `EvaluationExporter.tell`; what it raises is logged.

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
        on_ruling: Callable[[Event, Ruling], None] | None = None,
    ) -> None:
        """Load the rules; nothing is judged yet."""
        if not timeout_s > 0 or not inspect_timeout_s > 0:
            raise ConfigError(f"observer: time limits must be above 0 s, got {timeout_s} and {inspect_timeout_s}")
        book = RuleBook.load(Path(rules)) if isinstance(rules, str | Path) else rules
        self.engine = Engine(book) if isinstance(book, RuleBook) else book
        self.ledger, self.policy, self.timeout_s = ledger, policy, timeout_s
        self._panel = Panel(self.engine, guard, monitor, facts, policy, consequential)
        self._enforcer = Enforcer(inspector, dict(actions or {}), timeout_s, inspect_timeout_s)
        self._stopped: set[tuple[str, str]] = set()
        self._history: OrderedDict[str, deque[tuple[Event, Ruling]]] = OrderedDict()
        self._lock = threading.Lock()
        self._on_ruling = on_ruling

    @property
    def guard(self) -> Judging | None:
        """The guard that is asked."""
        return self._panel.guard

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
            rulings = self._rule(usable)
        except Exception as error:  # the last line of defence: whatever went wrong in here, nothing goes through
            rulings = [self._held(event, f"the observer failed: {said(error)}") for event in usable]
        if self._on_ruling is not None:
            try:
                for event, ruling in zip(usable, rulings, strict=True):
                    self._on_ruling(event, ruling)
            except Exception as error:  # whoever listens is not part of this package, and changes no ruling
                LOG.error("a ruling was not told: %s", said(error))
        return rulings

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
            drafts = within(self.timeout_s, lambda late: self._panel.judge(events))
        except Exception as error:  # whoever judges is not part of this package
            drafts = [self._panel.unjudged(event, f"the defences failed: {said(error)}") for event in events]
        if any(_stops(d) for d in drafts):
            for draft in drafts:
                self.stop(*_run_of(draft.event))
            rulings = [self._enforcer.rule(d) if _stops(d) else _stopped(d.event) for d in drafts]
        else:
            rulings = [self._enforcer.rule(d) for d in drafts]
            if any(self.is_stopped(*_run_of(e)) for e in events):  # while a person was asked
                rulings = [_stopped(e) for e in events]
        return self._written(drafts, rulings)

    def _held(self, event: Event, reason: str) -> Ruling:
        if not self._panel.matters(event):
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
                reason = f"the ledger could not be written: {said(error)}"
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
