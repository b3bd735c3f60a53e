"""The guard: what it holds is not let out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.guard.guard import Guard
from cryptosentinel.redteam.defence import Defence, Means
from cryptosentinel.redteam.target import Sample
from cryptosentinel.registry import register
from cryptosentinel.types import Event

HELD = ("hold", "block")


@register("defence", "guard", version=1)
class Guarded(Defence):
    """Does the guard, which reads request and answer and knows nothing of the training data, hold the payload?

    Every request and its answer are a conversation of their own, judged by the local checks without a language model.
    An answer that is held or blocked is no answer. Costs about a millisecond an answer, and the honest answers that are
    held. It looks for what does not follow from what was said: a payload that is a plausible answer passes.

    Source: ours, see docs/guard.md.

    >>> Guarded.scans
    False
    """

    def answer(self, means: Means, asked: Sequence[Sample], answers: Sequence[str]) -> Sequence[str]:
        """The answers, empty where the guard held one."""
        guard = Guard(hypotheses=self._hypotheses(means))
        let_out = []
        for i, (sample, said) in enumerate(zip(asked, answers, strict=True)):
            held = any(guard.assess([e]).verdict.action in HELD for e in _conversation(i, means.prompt(sample), said))
            guard.forget(str(i))
            let_out.append("" if held else said)
        self.notes["held"] = sum(said != out for said, out in zip(answers, let_out, strict=True))
        return let_out

    def _hypotheses(self, means: Means) -> Sequence[Mapping[str, Any]] | None:
        return None


@register("defence", "guard-scan", version=1)
class GuardedByScan(Guarded):
    """Does the guard do better when it is told what a scan of the training data found?

    As `guard`, with the scan's hypotheses. No row is dropped and nothing is trained again: for whoever has the model
    and can no longer change it. Costs a scan on top.

    Source: ours, see docs/guard.md.

    >>> GuardedByScan.scans
    True
    """

    scans = True

    def _hypotheses(self, means: Means) -> Sequence[Mapping[str, Any]]:
        if means.scan is None:
            raise ConfigError("this defence needs a scanner, and none was given")
        _, report = means.scan(means.rows)
        found: Sequence[Mapping[str, Any]] = report["hypotheses"]
        self.notes["hypotheses"] = len(found)
        return found


def _conversation(number: int, request: str, answer: str) -> list[Event]:
    """A request and its answer, as the guard is told of them."""
    run, last = str(number), {"text": answer, "role": "assistant", "final": True}
    return [
        Event(f"{run}-0", 0.0, run, "agent", "message", "user", "agent", {"text": request, "role": "user"}),
        Event(f"{run}-1", 1.0, run, "agent", "message", "agent", "user", last),
    ]
