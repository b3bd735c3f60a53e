"""An answer that fits a schema: the model is told of it, and may repair a wrong answer once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import BaseModel, ValidationError

from cryptosentinel.asker import Answer
from cryptosentinel.errors import JudgeError
from cryptosentinel.types import Message

_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)
_QUOTED = 2000  # characters of a failed answer that are shown back to the model


def ask_in_schema(
    complete: Callable[[Sequence[Message]], Answer], messages: Sequence[Message], schema: type[BaseModel] | None
) -> Answer:
    """Complete the messages; with a schema, tell the model of it, check the answer and let it repair a wrong one once.

    Raises:
        JudgeError: the second answer does not fit the schema either, or `complete` failed.
    """
    if schema is None:
        return complete(messages)
    wanted = f"Answer with one JSON object that fits this JSON schema, and nothing else:\n{json_schema(schema)}"
    asked = _with_system(messages, wanted)
    first = complete(asked)
    try:
        return replace(first, parsed=parse(first.text, schema))
    except ValueError as error:
        fault = str(error)
    repair = f"This answer does not fit the schema ({fault}). Answer again with the JSON object alone."
    second = complete([*asked, Message("assistant", first.text[:_QUOTED]), Message("user", repair)])
    total = replace(
        second,
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        seconds=first.seconds + second.seconds,
    )
    try:
        return replace(total, parsed=parse(second.text, schema))
    except ValueError as error:
        name = schema.__name__
        raise JudgeError(f"{second.model}: twice an answer that is no {name}: {error}") from None


def _with_system(messages: Sequence[Message], text: str) -> list[Message]:
    """The messages with this text in their first system message: many chat templates allow only that one."""
    if messages and messages[0].role == "system":
        return [replace(messages[0], text=f"{messages[0].text}\n\n{text}"), *messages[1:]]
    return [Message("system", text), *messages]


def json_schema(schema: type[BaseModel]) -> str:
    """The schema as JSON text, always the same for the same class."""
    return json.dumps(schema.model_json_schema(), sort_keys=True)


def parse(text: str, schema: type[BaseModel]) -> BaseModel:
    """Read the answer: the whole text must be the JSON object, bare or as one fenced block.

    JSON inside prose is not fished for: the text a judge quotes is the attacker's.

    Raises:
        ValueError: one line saying where it departs from the schema.
    """
    fenced = _FENCED.fullmatch(text)
    try:
        return schema.model_validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:3]]
        raise ValueError(" ".join("; ".join(faults).split())[:300]) from None
