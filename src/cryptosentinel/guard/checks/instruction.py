"""Does untrusted content tell the agent what to do?"""

from __future__ import annotations

import re

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

DROPPED = 0.65  # somebody who may give orders tells the agent to drop those it has; it may be pasted text
LONGEST = 40_000

_DROPPED = re.compile(
    r"\b(?:ignore|disregard|forget|override|drop|abandon|stop following|do not follow|don't follow)\s+(?:\w+\s+){0,3}?"
    r"(?:previous|prior|earlier|above|preceding|former|original|initial|system|your|all|any|these|the)\s+"
    r"(?:\w+\s+){0,2}?(?:instructions?|rules|guidelines|prompts?|directives?|orders|commands?|polic(?:y|ies)|context)\b",
    re.IGNORECASE,
)


@register("check", "instruction")
class Instruction:
    """Which sentence of a tool result or of somebody else's words gives the reader an order?

    Score: 0.6 for an order; up to 1.0 if the text around it speaks of the reader's own task or instructions, which
    ordinary content does not. False alarms: recipes, manuals and to-do lists give orders too; so it raises suspicion
    and holds nothing by itself: what counts is whether the agent follows (check `taint`). 0.65 for a message of
    somebody who may give orders that tells the agent to drop those it has: it may hold pasted text. It does not
    see orders in languages other than English, nor those put as facts.
    """

    name = "instruction"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at what came from outside in this step."""
        best: Finding | None = None
        for turn in step:
            if turn.voice == "principal" and (dropped := _DROPPED.search(turn.text[:LONGEST])):
                text = " ".join(dropped.group().split())[:200]
                reason = f"a message tells the agent to drop its instructions: {text!r}"
                best = finding(self, at(turn, *dropped.span()), DROPPED, reason, orders=1)
            found = [order.directive for order in conversation.heard(turn)]
            if found:
                worst = max(found, key=lambda d: d.strength)
                if best is None or worst.strength > (best.score or 0.0):
                    text = " ".join(worst.text.split())[:200]
                    reason = f"untrusted content gives an order: {text!r}"
                    best = finding(self, at(turn, worst.start, worst.end), worst.strength, reason, orders=len(found))
        return best
