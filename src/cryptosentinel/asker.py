"""What it means to ask a language model. Whatever asks one receives it, and knows no more of it than this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from cryptosentinel.types import Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said; `parsed` is set when a schema was asked for. Token counts are 0 where nobody counted."""

    text: str
    parsed: BaseModel | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    model: str = ""


class Asker(Protocol):
    """Anything that answers messages: an endpoint, a local model, a recording, a script.

    Every wait and every number of attempts is bounded by it.
    """

    @property
    def name(self) -> str:
        """Who answers? Goes into findings."""
        ...

    def ask(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Answer:
        """Answer these messages.

        Raises:
            JudgeError: no answer in time, or none that fits the schema.
        """
        ...
