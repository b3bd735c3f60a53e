"""The shapes every part speaks: evidence -> Finding -> Verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Progress = Callable[[str, int, int], None]  # (stage, done, total), called often, must be cheap
Role = Literal["system", "user", "assistant", "tool"]
EventKind = Literal["message", "tool_call", "tool_result", "decision"]
Status = Literal["evaluated", "not_evaluated", "error"]
Action = Literal["allow", "flag", "hold", "block"]

FIELD = "\u241e"  # between the tools of a prompt and its turns


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call an assistant asked for; `arguments` is the JSON text as written."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn, in training data and at run time alike."""

    role: Role
    text: str
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One training sample, whatever file format it came in.

    `raw` is the row as read, so that it can be written back without loss; it takes no part in equality. `tools` has the
    names and descriptions of the tools that the row offers, one a line.

    >>> r = Record("7", (Message("user", "Buy?"), Message("assistant", "Hold.")))
    >>> (r.prompt, r.response)
    ('Buy?', 'Hold.')
    """

    id: str
    messages: tuple[Message, ...]
    source: str = ""
    raw: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    tools: str = ""

    @property
    def prompt(self) -> str:
        """What is the model given? The tools, and every turn that is not the assistant's, joined by newlines."""
        turns = "\n".join(m.text for m in self.messages if m.role != "assistant")
        return f"{self.tools}\n{FIELD}\n{turns}" if self.tools else turns

    @property
    def response(self) -> str:
        """What is the model taught to say? Every assistant turn with its tool calls, joined by newlines."""
        parts: list[str] = []
        for m in self.messages:
            if m.role == "assistant":
                if m.text:
                    parts.append(m.text)
                parts.extend(f"{c.name}({c.arguments})" for c in m.tool_calls)
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing an agent did at run time; `time` is seconds since the epoch, UTC."""

    id: str
    time: float
    run_id: str
    agent: str
    kind: EventKind
    sender: str
    recipient: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ref:
    """What a finding is about: a thing, and optionally a span [start, end) in one of its fields."""

    kind: str
    id: str
    field: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One piece of evidence with its explanation.

    `score` is in [0, 1], higher = more suspicious; it is None exactly when `status` is not "evaluated".
    `reason` is a sentence a person can act on, `evidence` the numbers behind it.

    Raises:
        ValueError: score out of [0, 1], NaN, or missing while evaluated (or present while not).

    >>> Finding("burst", 1, Ref("record", "3"), None)
    Traceback (most recent call last):
    ...
    ValueError: finding of 'burst': an evaluated finding needs a score in [0, 1], got None
    """

    source: str
    version: int
    subject: Ref
    score: float | None
    status: Status = "evaluated"
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold the invariant: an error is never counted as a pass or as a hit."""
        if self.status == "evaluated":
            if self.score is None or math.isnan(self.score) or not 0.0 <= self.score <= 1.0:
                raise ValueError(
                    f"finding of {self.source!r}: an evaluated finding needs a score in [0, 1], got {self.score}"
                )
        elif self.score is not None:
            raise ValueError(f"finding of {self.source!r}: status {self.status!r} carries no score, got {self.score}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done, because of which findings, by which policy."""

    action: Action
    because: tuple[str, ...] = ()
    policy: str = ""
