"""The form of a check: it sees one step and everything before it, and says what is odd, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cryptosentinel.guard.conversation import Conversation, Turn
from cryptosentinel.types import Finding, Ref

Step = Sequence[Turn]  # what happens at once: a message with its calls, or one result


class Check(Protocol):
    """One question about a step. A check holds no state: what it needs to know is in the conversation."""

    name: str
    version: int

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """The finding, scored in [0, 1]; None if there is nothing to say. Turns after the step do not exist."""


def at(turn: Turn, start: int | None = None, end: int | None = None) -> Ref:
    """Where something was seen: the turn's event, and the characters in its text."""
    return Ref("event", turn.event.id, turn.event.kind, start, end)


def finding(check: Check, where: Ref, score: float, reason: str, **evidence: Any) -> Finding:
    """A finding of this check, with its score kept in range."""
    return Finding(check.name, check.version, where, min(1.0, max(0.0, score)), "evaluated", reason, evidence)
