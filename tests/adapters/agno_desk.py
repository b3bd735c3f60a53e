"""Real Agno agents with an offline model, and a tool whose side effect can be counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.team import Team

Turn = Any  # a text; a list of (tool, arguments) calls; (text, calls); or a function of the messages that gives one


@dataclass
class Scripted(Model):
    """A model that takes these turns one after the other, and then the last one for ever. `seen`: what it was shown."""

    id: str = "scripted"
    turns: list[Turn] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    pieces: int = 3  # a streamed text comes in so many

    def next(self, messages: list[Any]) -> ModelResponse:
        turn = self.turns[min(len(self.seen), len(self.turns) - 1)]
        self.seen.append([(m.role, m.content) for m in messages])
        if callable(turn):
            turn = turn(messages)
        if isinstance(turn, BaseException):
            raise turn
        text, calls = (turn, []) if isinstance(turn, str) else turn if isinstance(turn, tuple) else (None, turn)
        made: list[dict[str, Any]] = [
            {"id": f"{len(self.seen)}-{i}", "type": "function", "function": {"name": name, "arguments": written}}
            for i, (name, given) in enumerate(calls)
            for written in [given if isinstance(given, str) else json.dumps(given)]
        ]
        return ModelResponse(role="assistant", content=text, tool_calls=made)

    def invoke(self, messages: list[Any], assistant_message: Any, **rest: Any) -> ModelResponse:
        return self.next(messages)

    async def ainvoke(self, messages: list[Any], assistant_message: Any, **rest: Any) -> ModelResponse:
        return self.next(messages)

    def invoke_stream(self, messages: list[Any], assistant_message: Any, **rest: Any) -> Iterator[ModelResponse]:
        whole = self.next(messages)
        text = whole.content or ""
        step = max(1, len(text) // self.pieces + 1)
        for start in range(0, len(text), step):
            yield ModelResponse(role="assistant", content=text[start : start + step])
        if whole.tool_calls:
            yield ModelResponse(role="assistant", tool_calls=whole.tool_calls)

    async def ainvoke_stream(self, messages: list[Any], assistant_message: Any, **rest: Any) -> Any:
        for part in self.invoke_stream(messages, assistant_message):
            yield part

    def _parse_provider_response(self, response: Any, **rest: Any) -> ModelResponse:
        return response  # type: ignore[no-any-return]

    def _parse_provider_response_delta(self, response: Any) -> ModelResponse:
        return response  # type: ignore[no-any-return]


class Desk:
    """What happened: `swaps` are the side effects."""

    def __init__(self) -> None:
        self.swaps: list[Any] = []

    def swap_tool(self) -> Callable[..., str]:
        def swap(token: str, amount: float = 1) -> str:
            """Swap so much for a token."""
            self.swaps.append((token, amount))
            return f"swapped {amount} for {token}"

        return swap

    def aswap_tool(self) -> Callable[..., Any]:
        async def swap(token: str, amount: float = 1) -> str:
            """Swap so much for a token."""
            self.swaps.append((token, amount))
            return f"swapped {amount} for {token}"

        return swap


def agent(turns: list[Turn], tools: list[Any], name: str = "Trader", **options: Any) -> Agent:
    return Agent(name=name, model=Scripted(turns=turns), tools=tools, telemetry=False, **options)


def team(turns: list[Turn], members: list[Any], name: str = "Manager", **options: Any) -> Team:
    return Team(name=name, model=Scripted(turns=turns), members=members, telemetry=False, **options)


def hand_over(member: str, task: str) -> list[tuple[str, Any]]:
    return [("delegate_task_to_member", {"member_id": member, "task": task})]


def read(entity: Any) -> str:
    """Everything that the model of this agent was shown, as one text."""
    return "\n".join(str(content) for seen in entity.model.seen for _, content in seen)
