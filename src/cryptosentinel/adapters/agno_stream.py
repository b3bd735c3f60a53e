"""Streamed answers: a client sees them before any hook does, so the text waits in the model until it was judged."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from agno.models.base import Model
from agno.models.fallback import FallbackConfig
from agno.models.response import ModelResponse
from agno.models.utils import get_model

from cryptosentinel.adapters.agno_events import text_of
from cryptosentinel.adapters.agno_run import place_of
from cryptosentinel.deadline import aside

if TYPE_CHECKING:
    from cryptosentinel.adapters.agno_hooks import Hooks

MODELS = ("model", "reasoning_model", "parser_model", "output_model")
MARK, ORIGINAL = "_cryptosentinel_hooks", "_cryptosentinel_model"
_SHOWN = (
    "content",
    "reasoning_content",
    "redacted_reasoning_content",
    "citations",
    "audio",
    "images",
    "videos",
    "files",
)


def buffer(hooks: Hooks) -> dict[str, Any]:
    """Put models that wait in the place of this agent's; returns what was there. What waits already stays."""
    before: dict[str, Any] = {}
    fallback = getattr(hooks.owner, "fallback_config", None)
    if isinstance(fallback, FallbackConfig) and getattr(fallback, MARK, None) is not hooks:
        before["fallback_config"], waiting = fallback, copy.copy(fallback)
        for name in ("on_error", "on_rate_limit", "on_context_overflow"):
            models = [get_model(model) for model in getattr(fallback, name)]
            setattr(waiting, name, [buffered(model, hooks) for model in models if isinstance(model, Model)])
        setattr(waiting, MARK, hooks)
        hooks.owner.fallback_config = waiting
    for name in MODELS:
        model = getattr(hooks.owner, name, None)
        if isinstance(model, Model) and getattr(model, MARK, None) is not hooks:
            before[name] = model
            setattr(hooks.owner, name, buffered(model, hooks))
    return before


def buffered(model: Model, hooks: Hooks) -> Model:
    """A copy of the model whose streams come out when they are complete and judged."""
    inner = getattr(model, ORIGINAL, model)  # a member may have been given its leader's
    waits = copy.copy(inner)

    def invoke_stream(*args: Any, **rest: Any) -> Iterator[ModelResponse]:
        parts = list(inner.invoke_stream(*args, **rest))
        yield from _released(parts, hooks, rest.get("run_response"))

    async def ainvoke_stream(*args: Any, **rest: Any) -> AsyncIterator[ModelResponse]:
        parts = [part async for part in inner.ainvoke_stream(*args, **rest)]
        for part in await aside(lambda: _released(parts, hooks, rest.get("run_response"))):
            yield part

    for name, value in (("invoke_stream", invoke_stream), ("ainvoke_stream", ainvoke_stream)):
        setattr(waits, name, value)
    setattr(waits, MARK, hooks)
    setattr(waits, ORIGINAL, inner)
    return waits


def _released(parts: Sequence[ModelResponse], hooks: Hooks, run_response: Any) -> Sequence[ModelResponse]:
    try:
        text = "".join(text_of(part.content) for part in parts)
        is_final = not any(part.tool_calls for part in parts)
        notice = hooks.answered(text, place_of(run_response), is_final)
    except Exception as error:  # nothing comes out that was not judged
        notice = f"The answer is withheld: the guard failed ({type(error).__name__})."
    if notice is None:
        return parts
    return [ModelResponse(role="assistant", content=notice), *(_without_text(part) for part in parts)]


def _without_text(part: ModelResponse) -> ModelResponse:
    kept = copy.copy(part)
    for name in _SHOWN:
        if hasattr(kept, name):
            setattr(kept, name, None)
    return kept
