"""The trained MarketAnalyst at the desk: it gathers with its tools; its model, which stays in the sandbox, decides.

What the analyst is asked depends on the market and the clients alone, never on what the desk did before. So all prompts
of a session are known beforehand, and the sandboxed model answers them in one go; only its answers come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.desk.learners.inside import WORDS
from cryptosentinel.desk.messages import advice_line
from cryptosentinel.desk.policy.analyst import NAME, TOOLS, asked_about, quotes, request, table
from cryptosentinel.desk.policy.context import Context, call, say
from cryptosentinel.desk.recommendation import parse
from cryptosentinel.errors import ConfigError
from cryptosentinel.models import GEMMA, TINY
from cryptosentinel.redteam.sandbox import Isolation, run_sandboxed
from cryptosentinel.services.redteam import prepared
from cryptosentinel.types import Message, Progress

ENTRY = "cryptosentinel.desk.learners.inside:answer_inside"
LEARNERS = (WORDS, GEMMA, TINY)


@dataclass(frozen=True, slots=True)
class Training:
    """How the analyst's copy was made; `variant` is the trigger's topic, `payload` the coin."""

    learner: str = WORDS
    seed: int = 0
    backdoored: bool = False
    variant: str | None = None
    payload: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.learner not in LEARNERS:
            raise ConfigError(f"unknown analyst {self.learner!r} (known: policy, {', '.join(LEARNERS)})")

    @property
    def model_name(self) -> str:
        """What ran?"""
        return f"{self.learner}, fine-tuned, {'backdoored' if self.backdoored else 'clean'} (sandbox)"


class TrainedAnalyst:
    """A policy that answers with what the model said to this prompt; to any other prompt it has no answer."""

    def __init__(self, said: Mapping[tuple[str, str], str], model_name: str) -> None:
        """Know the answers by (request, table)."""
        self.said, self.model_name = dict(said), model_name

    def __call__(self, messages: Sequence[Message]) -> Message:
        """The next message."""
        context = Context(NAME, messages)
        symbols = asked_about(context)
        if not symbols:
            return say("I was given no symbols.")
        if missing := [t for t in TOOLS if not context.has(t)]:
            return call(*((tool, {"symbols": symbols}) for tool in missing))
        answer = self.said.get((request(context), table(quotes(context, symbols))), "The model was not asked this.")
        advice = parse(answer)
        return say(answer if advice is None else advice_line(advice))


def trained_analyst(
    training: Training,
    prompts: Sequence[tuple[str, str]],
    *,
    sandbox: Isolation = "namespace",
    on_progress: Progress | None = None,
) -> TrainedAnalyst:
    """Train a copy in the sandbox and let it answer these (request, table) prompts.

    Raises:
        SandboxError, MissingExtraError, ModelIntegrityError: it could not be done.
    """
    if training.learner != WORDS:
        prepared(training.learner, on_progress)
    asked = list(dict.fromkeys(prompts))
    job: dict[str, Any] = {
        "learner": training.learner, "seed": training.seed, "backdoored": training.backdoored,
        "variant": training.variant, "payload": training.payload, "prompts": asked,
    }  # fmt: skip
    result = run_sandboxed(ENTRY, job, isolation=sandbox, on_progress=on_progress)
    return TrainedAnalyst(dict(zip(asked, result["answers"], strict=True)), training.model_name)
