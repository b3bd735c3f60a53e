"""An agent's models, followed: what they are shown is noted, and streamed text waits until it was judged.

A client sees streamed text before any hook does, so the model is the last place to hold it back.
"""

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


def wrap(hooks: Hooks, buffers: bool) -> dict[str, Any]:
    """Put models that can be followed in the place of this agent's; returns what was there. What is wrapped stays."""
    before: dict[str, Any] = {}
    fallback = getattr(hooks.owner, "fallback_config", None)
    if isinstance(fallback, FallbackConfig) and getattr(fallback, MARK, None) is not hooks:
        before["fallback_config"], followed_ = fallback, copy.copy(fallback)
        for name in ("on_error", "on_rate_limit", "on_context_overflow"):
            models = [get_model(model) for model in getattr(fallback, name)]
            setattr(followed_, name, [followed(model, hooks, buffers) for model in models if isinstance(model, Model)])
        setattr(followed_, MARK, hooks)
        hooks.owner.fallback_config = followed_
    for name in MODELS:
        model = getattr(hooks.owner, name, None)
        if isinstance(model, Model) and getattr(model, MARK, None) is not hooks:
            before[name] = model
            setattr(hooks.owner, name, followed(model, hooks, buffers))
    return before


def followed(model: Model, hooks: Hooks, buffers: bool) -> Model:
    """A copy of the model that notes which messages it is given and, with `buffers`, lets streams out when judged.

    The messages are noted because Agno's own `run_context.messages` falls behind once tools run in parallel threads.
    """
    inner = getattr(model, ORIGINAL, model)  # a member may have been given its leader's
    made = copy.copy(inner)

    def noted(rest: dict[str, Any]) -> Any:
        run_response, messages = rest.get("run_response"), rest.get("messages")
        if run_response is not None and isinstance(messages, list):
            hooks.attached.shown.live(str(getattr(run_response, "run_id", "") or ""), messages)
        return run_response

    def invoke(*args: Any, **rest: Any) -> ModelResponse:
        noted(rest)
        return inner.invoke(*args, **rest)

    async def ainvoke(*args: Any, **rest: Any) -> ModelResponse:
        noted(rest)
        return await inner.ainvoke(*args, **rest)

    def invoke_stream(*args: Any, **rest: Any) -> Iterator[ModelResponse]:
        run_response = noted(rest)
        stream = inner.invoke_stream(*args, **rest)
        yield from _released(list(stream), hooks, run_response) if buffers else stream

    async def ainvoke_stream(*args: Any, **rest: Any) -> AsyncIterator[ModelResponse]:
        run_response = noted(rest)
        if not buffers:
            async for part in inner.ainvoke_stream(*args, **rest):
                yield part
            return
        parts = [part async for part in inner.ainvoke_stream(*args, **rest)]
        for part in await aside(lambda: _released(parts, hooks, run_response)):
            yield part

    for method in (invoke, ainvoke, invoke_stream, ainvoke_stream):
        setattr(made, method.__name__, method)
    setattr(made, MARK, hooks)
    setattr(made, ORIGINAL, inner)
    return made


def _released(parts: Sequence[ModelResponse], hooks: Hooks, run_response: Any) -> Sequence[ModelResponse]:
    try:
        text = "".join(text_of(part.content) for part in parts)
        is_final = not any(part.tool_calls for part in parts)
        notice = hooks.speech.answered(text, place_of(run_response), is_final)
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
