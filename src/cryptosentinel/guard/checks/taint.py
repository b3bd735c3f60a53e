"""Does a call hand on what only untrusted content said?"""

from __future__ import annotations

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, values_of
from cryptosentinel.guard.reading import squeezed, words
from cryptosentinel.registry import register
from cryptosentinel.types import Finding


@register("check", "taint")
class Taint:
    """Which of the values handed on came from untrusted content and from nobody who is obeyed?

    Score: half the share of argument values that hold a word which only untrusted turns brought.
    """

    name = "taint"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call and decision of the step."""
        worst: Finding | None = None
        for turn in step:
            if turn.event.kind not in ("tool_call", "decision"):
                continue
            values = [(path, text) for path, text in values_of(turn.event) if words(squeezed(text))]
            tainted = {}
            for path, text in values:
                origin = conversation.origin(text)
                if origin and origin.outside and not origin.trusted and origin.outside[0] < turn.index:
                    tainted[path] = {"value": text[:200], "turn": origin.outside[0]}
            if tainted and (worst is None or (worst.score or 0.0) < len(tainted) / len(values)):
                score = 0.5 * len(tainted) / len(values)
                worst = finding(
                    self, at(turn), score, f"{', '.join(tainted)} came from untrusted content only", values=tainted
                )
        return worst
