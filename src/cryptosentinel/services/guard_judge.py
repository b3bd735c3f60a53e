"""The guard with a judge behind an endpoint, as the command line names it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptosentinel.config import load_settings
from cryptosentinel.errors import JudgeError
from cryptosentinel.guard.guard import Assessment, Guard
from cryptosentinel.guard.judge import Budget
from cryptosentinel.guard.semantic import SemanticGuard
from cryptosentinel.services.guard import read_hypotheses
from cryptosentinel.services.judge import KeptJudge
from cryptosentinel.types import Event

MOST_PAUSES_S = 60.0  # between attempts; a recorded conversation can wait for its answer


class JudgedGuard:
    """A `SemanticGuard` that asks an endpoint; answers are kept on disk, so that a second run asks nothing."""

    def __init__(self, url: str, hypotheses: Path | None = None) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the URL or the settings of the judge cannot be used.
            UnableError: the hypotheses cannot be read.
        """
        asked = load_settings().judge
        limit_s = 2 * asked.attempts * (asked.connect_timeout_s + asked.read_timeout_s) + MOST_PAUSES_S
        budget = Budget(questions=asked.max_questions, per_run=asked.max_questions)
        local = Guard(read_hypotheses(hypotheses))
        self._guard = SemanticGuard(local, KeptJudge(url), budget=budget, timeout_s=limit_s)

    def open(self, run_id: str, tools: Sequence[Any] | None = None, task: str | None = None) -> Any:
        """As `Guard.open`."""
        return self._guard.open(run_id, tools, task)

    def assess(self, events: Sequence[Event]) -> Assessment:
        """As `SemanticGuard.assess`."""
        return self._guard.assess(events)

    def forget(self, run_id: str) -> None:
        """As `Guard.forget`."""
        self._guard.forget(run_id)

    def require_answers(self) -> None:
        """Refuse a run in which the judge was asked and gave no answer at all.

        Raises:
            JudgeError: what was held for want of an answer says nothing about the conversations.
        """
        usage = self._guard.usage
        failed = usage.errors + usage.refused
        if failed and failed >= usage.asked + usage.cached + usage.refused:
            raise JudgeError(f"the judge was asked {failed} times and gave no answer: those steps were held")


def judged_guard(url: str, hypotheses: Path | None = None) -> JudgedGuard:
    """The guard with a judge at this URL."""
    return JudgedGuard(url, hypotheses)
