"""May this step go through, by what was said before it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cryptosentinel.guard.checks  # noqa: F401  registers what comes with the package
from cryptosentinel.errors import ConfigError
from cryptosentinel.guard.check import Check, at
from cryptosentinel.guard.conversation import Conversation, Turn
from cryptosentinel.guard.profile import Profile
from cryptosentinel.guard.scorer import Scores, Weights
from cryptosentinel.policy import Policy
from cryptosentinel.registry import lookup, names
from cryptosentinel.types import Event, Finding, Ref, Verdict

POLICY = Policy("guard", flag_at=0.25, hold_at=0.5)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What was seen in one step, the three scores, and what is to be done."""

    scores: Scores
    findings: tuple[Finding, ...]
    verdict: Verdict


class Guard:
    """Judge the steps of many runs, each by what came before it in the same run.

    Thread-safe: steps of one run wait for each other, other runs do not.

    >>> guard = Guard()
    >>> ask = Event("1", 0.0, "r", "bot", "message", "user", "bot", {"text": "Pay Ann 20.", "role": "user"})
    >>> pay = Event("2", 1.0, "r", "bot", "tool_call", "bot", "pay", {"tool": "pay", "arguments": {"to": "Ann"}})
    >>> guard.assess([ask]).verdict.action, guard.assess([pay]).verdict.action
    ('allow', 'allow')
    """

    def __init__(
        self,
        hypotheses: Sequence[Any] | None = None,
        weights: Weights | None = None,
        policy: Policy = POLICY,
        checks: Sequence[Check] | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Take every registered check unless some are given.

        hypotheses: as the scan wrote them. profile: what the agents usually do.
        """
        self.policy = policy
        self.weights = weights or Weights.load()
        self.checks: tuple[Check, ...] = tuple(checks) if checks is not None else every_check(hypotheses, profile)
        self._runs: dict[str, tuple[Lock, Conversation]] = {}
        self._lock = Lock()

    def open(self, run_id: str, tools: Sequence[Any] | None = None, task: str | None = None) -> Conversation:
        """Begin a run of which the tools or the task are known beforehand.

        Raises:
            ConfigError: the run has begun already.
        """
        with self._lock:
            if run_id in self._runs:
                raise ConfigError(f"run {run_id!r} is open already")
            conversation = Conversation(run_id, tools, task)
            self._runs[run_id] = (Lock(), conversation)
            return conversation

    def assess(self, events: Sequence[Event]) -> Assessment:
        """Judge what happens at once: a message with its calls, parallel calls, or one result.

        Raises:
            ValueError: no events, or events of several runs.
        """
        if len({e.run_id for e in events}) != 1:
            raise ValueError(f"a step is events of one run, got {sorted({e.run_id for e in events})}")
        with self._run(events[0].run_id) as conversation:
            return self._assess(events, conversation)

    def conversation(self, run_id: str) -> Conversation:
        """What has happened in this run so far; begun with nothing if there was none."""
        with self._run(run_id) as conversation:
            return conversation

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended."""
        with self._lock:
            self._runs.pop(run_id, None)

    @contextmanager
    def _run(self, run_id: str) -> Iterator[Conversation]:
        with self._lock:
            if run_id not in self._runs:
                self._runs[run_id] = (Lock(), Conversation(run_id))
            lock, conversation = self._runs[run_id]
        with lock:
            yield conversation

    def _assess(self, events: Sequence[Event], conversation: Conversation) -> Assessment:
        found: list[Finding] = []
        step: list[Turn] = []
        for event in events:
            try:
                step.append(conversation.add(event))
            except Exception as error:  # one event of a batch; an error is held, never passed
                found.append(_failed("conversation", 1, Ref("event", event.id), error))
        for check in self.checks:
            try:
                seen = check.check(step, conversation) if step else None
            except Exception as error:  # one check of many; an error is held, never passed
                seen = _failed(check.name, check.version, at(step[0]), error)
            if seen is not None:
                found.append(seen)
        scores = self.weights.scores(found)
        overall = _overall(scores, found, Ref("event", events[0].id))
        errors = [(f.source, f) for f in found if f.status == "error"]
        return Assessment(scores, tuple(found), self.policy.judge([(overall.source, overall), *errors]))


def every_check(hypotheses: Sequence[Any] | None = None, profile: Profile | None = None) -> tuple[Check, ...]:
    """One of each registered check; some are told what is known beforehand."""
    known = {"known_trigger": hypotheses, "unusual": profile}
    made = {name: lookup("check", name).target for name in names("check")}
    return tuple(make(known[name]) if name in known else make() for name, make in made.items())


def _overall(scores: Scores, found: Sequence[Finding], where: Ref) -> Finding:
    reasons = [f.reason for f in sorted(found, key=lambda f: -(f.score or 0.0)) if f.reason]
    return Finding("guard", 1, where, scores.safety, "evaluated", "; ".join(reasons), scores.as_dict())


def _failed(source: str, version: int, where: Ref, error: Exception) -> Finding:
    return Finding(source, version, where, None, "error", f"{source} could not run: {type(error).__name__}: {error}")
