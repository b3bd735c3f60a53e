"""The guard with a judge behind an endpoint, as the command line names it."""

from __future__ import annotations

from cryptosentinel.config import load_settings
from cryptosentinel.errors import JudgeError
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.judge import Budget
from cryptosentinel.guard.semantic import SemanticGuard
from cryptosentinel.services.judge import KeptJudge

MOST_PAUSES_S = 60.0  # between attempts; a recorded conversation can wait for its answer


def judged_guard(local: Guard, url: str) -> SemanticGuard:
    """This guard with the endpoint behind it; answers are kept on disk, so that a second run asks nothing.

    Raises:
        ConfigError: the URL or the settings of the judge cannot be used.
    """
    asked = load_settings().judge
    limit_s = 2 * asked.attempts * (asked.connect_timeout_s + asked.read_timeout_s) + MOST_PAUSES_S
    budget = Budget(questions=asked.max_questions, per_run=asked.max_questions)
    return SemanticGuard(local, KeptJudge(url), budget=budget, timeout_s=limit_s)


def require_answers(guard: SemanticGuard) -> None:
    """Refuse a run in which the judge was asked and gave no answer at all.

    Raises:
        JudgeError: what was held for want of an answer says nothing about the conversations.
    """
    usage = guard.usage
    failed = usage.errors + usage.refused
    if failed and failed >= usage.asked + usage.cached + usage.refused:
        raise JudgeError(f"the judge was asked {failed} times and gave no answer: those steps were held")
