"""An Agno model without a network: a function from the messages so far to the next one.

    Agent(model=OfflineModel(id="my-policy", policy=policy), tools=[...])

The function gets what any model would get (system text, task, tool results) and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.adapters.agno_events import text_of
from cryptosentinel.errors import MissingExtraError
from cryptosentinel.types import Message, Role, ToolCall

try:
    from agno.models.base import Model
    from agno.models.response import ModelResponse
except ImportError:
    raise MissingExtraError("agno", extra="agno", purpose="running agents") from None

Policy = Callable[[Sequence[Message]], Message]
ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass
class OfflineModel(Model):
    """A deterministic Agno model; `asked` counts how often it was called.

    >>> echo = OfflineModel(id="echo", policy=lambda messages: Message("assistant", messages[-1].text.upper()))
    >>> from agno.agent import Agent
    >>> Agent(model=echo, telemetry=False).run("buy").content
    'BUY'
    """

    id: str = "offline"
    name: str | None = "OfflineModel"
    provider: str | None = "CryptoSentinel"
    policy: Policy | None = None
    asked: int = 0

    def invoke(self, messages: list[Any], assistant_message: Any, **rest: Any) -> ModelResponse:
        """The next message."""
        self.asked += 1
        if self.policy is None:
            raise ValueError(f"{self.id} has no policy")
        said = self.policy([message_of(m) for m in messages])
        calls = [
            {"id": c.id or f"{self.id}-{self.asked}-{i}", "type": "function",
             "function": {"name": c.name, "arguments": c.arguments}}
            for i, c in enumerate(said.tool_calls)
        ]  # fmt: skip
        return ModelResponse(role="assistant", content=said.text or None, tool_calls=calls)

    async def ainvoke(self, messages: list[Any], assistant_message: Any, **rest: Any) -> ModelResponse:
        """The next message."""
        return self.invoke(messages, assistant_message, **rest)

    def invoke_stream(self, messages: list[Any], assistant_message: Any, **rest: Any) -> Iterator[ModelResponse]:
        """The next message, in one part."""
        yield self.invoke(messages, assistant_message, **rest)

    async def ainvoke_stream(
        self, messages: list[Any], assistant_message: Any, **rest: Any
    ) -> AsyncIterator[ModelResponse]:
        """The next message, in one part."""
        yield self.invoke(messages, assistant_message, **rest)

    def _parse_provider_response(self, response: Any, **rest: Any) -> ModelResponse:
        return response  # type: ignore[no-any-return]

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return response  # type: ignore[no-any-return]


def message_of(message: Any) -> Message:
    """A message of Agno's as one of ours."""
    calls = tuple(
        ToolCall(str(c.get("id") or ""), str(c["function"].get("name")), str(c["function"].get("arguments") or "{}"))
        for c in message.tool_calls or ()
        if isinstance(c, dict) and isinstance(c.get("function"), dict)
    )
    role = ROLES.get(str(message.role), "tool")
    return Message(
        role, text_of(message.content), str(message.tool_name or message.name or ""), calls,
        str(message.tool_call_id or ""),
    )  # fmt: skip
