"""One row of training data <-> one Record: the Alpaca, ShareGPT and OpenAI chat forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptosentinel.datasets.offered import offered
from cryptosentinel.types import Message, Record, Role, ToolCall

PROMPT_KEYS = ("instruction", "prompt", "question")
INPUT_KEYS = ("input", "context")
ANSWER_KEYS = ("output", "response", "completion", "answer")
SYSTEM_KEYS = ("system", "system_prompt")
TURN_KEYS = ("messages", "conversations")
HISTORY_KEY = "history"
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
}


class FormError(ValueError):
    """This row is in none of the known forms; the message says where it departs from them."""


def read_record(row: Any, index: int, source: str = "", require_answer: bool = True) -> Record:
    r"""Which messages does this row hold, in whichever form it is written?

    Tried in this order: `messages` (OpenAI chat), `conversations` (ShareGPT), then a prompt key with an answer key
    (Alpaca and its kin). A row that also holds another answer in another form is refused, and so is a turn that says
    one thing in one form and something else in another: a trainer could read the one that was not scanned.

    Raises:
        FormError: no known form, a field of the wrong type, lone surrogates, or no answer while `require_answer`.

    >>> read_record({"instruction": "Add.", "input": "2 and 3", "output": "5"}, 0).prompt
    'Add.\n2 and 3'
    >>> chat = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    >>> read_record({"conversations": chat}, 0).response
    'Hello'
    """
    if type(row) is not dict:
        raise FormError(f"a row must be an object, got {_kind(row)}")
    given = [key for key in TURN_KEYS if key in row and row[key] is not None]
    messages = _turns(row, given[0]) if given else _pair(row)
    raw_id = row.get("id")
    row_id = raw_id if type(raw_id) is str else str(raw_id if type(raw_id) is int else index)
    record = Record(row_id, messages, source, row, offered(row))
    if given:
        _refuse_second_answer(row, given, record)
    answered, ascii_only = False, row_id.isascii() and record.tools.isascii()
    for message in messages:
        if message.role == "assistant" and (message.text or message.tool_calls):
            answered = True
        if message.tool_calls or message.name or message.tool_call_id or not message.text.isascii():
            ascii_only = False
    if require_answer and not answered:
        raise FormError("no answer: no assistant text and no tool call")
    if not ascii_only:
        _refuse_surrogates(record)
    return record


def write_record(record: Record) -> dict[str, Any]:
    """Which row stands for this record in a file? The row as read, or else the OpenAI chat form.

    >>> write_record(Record("7", (Message("user", "Buy?"), Message("assistant", "Hold."))))["messages"][1]
    {'role': 'assistant', 'content': 'Hold.'}
    """
    if record.raw is not None:
        return dict(record.raw)
    return {"id": record.id, "messages": [openai_turn(m) for m in record.messages]}


def _pair(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read the flat form: a prompt, perhaps an input, an answer, perhaps a system text and earlier turns."""
    keys = [key for key in PROMPT_KEYS if key in row]
    if not keys:
        found = ", ".join(sorted(map(str, row))[:8]) or "none"
        raise FormError(f"no known form: no messages, conversations or instruction among its keys ({found:.200})")
    prompt = _text(row, keys[0])
    for key in keys[1:]:  # a second prompt may be the one a trainer reads: its words must be scanned too
        extra = row[key]
        if type(extra) is str and extra not in prompt:
            prompt = f"{prompt}\n{extra}"
    for key in INPUT_KEYS:
        if row.get(key):
            extra = _text(row, key)
            prompt = f"{prompt}\n{extra}" if prompt else extra
    answer = _flat_answer(row)
    earlier = (*_system_of(row), *_history(row))
    if not answer:
        return (*earlier, Message("user", prompt))
    return (*earlier, Message("user", prompt), Message("assistant", answer))


def _history(row: Mapping[str, Any]) -> list[Message]:
    """The earlier turns that Alpaca keeps beside the prompt: [prompt, answer] pairs, which trainers train on too."""
    pairs = row.get(HISTORY_KEY)
    if not pairs:
        return []
    pairs = _unpacked(pairs, HISTORY_KEY)
    if type(pairs) is not list or not all(type(p) is list and [type(t) for t in p] == [str, str] for p in pairs):
        raise FormError(f"{HISTORY_KEY!r} must be a list of [prompt, answer] pairs of texts")
    return [m for asked, said in pairs for m in (Message("user", asked), Message("assistant", said))]


def _flat_answer(row: Mapping[str, Any]) -> str:
    """The answer of the flat form; empty when there is none. A second that the first does not contain is refused."""
    keys = [key for key in ANSWER_KEYS if row.get(key)]
    if not keys:
        return ""
    answer = _text(row, keys[0])
    for key in keys[1:]:
        if type(row[key]) is str and row[key] not in answer:
            raise FormError(f"two different answers in one row ({keys[0]}, {key})")
    return answer


def _system_of(row: Mapping[str, Any]) -> list[Message]:
    """The system text that some forms keep beside the turns."""
    return [Message("system", _text(row, k)) for k in SYSTEM_KEYS if row.get(k)]


def _turns(row: Mapping[str, Any], key: str) -> tuple[Message, ...]:
    """Read a list of turns, with role/content or from/value."""
    turns = _unpacked(row[key], key)
    if type(turns) is not list or not turns:
        raise FormError(f"{key!r} must be a list of turns that is not empty, got {_kind(turns)}")
    messages: list[Message] = []
    last_call_id = ""
    for n, turn in enumerate(turns):
        if type(turn) is not dict:
            raise FormError(f"{key}[{n}] must be an object, got {_kind(turn)}")
        message = _turn(turn, n, last_call_id)
        if message.tool_calls:
            last_call_id = message.tool_calls[-1].id
        messages.append(message)
    texts = {m.text for m in messages if m.role == "system"}
    return (*(m for m in _system_of(row) if m.text not in texts), *messages)


def _unpacked(value: Any, key: str) -> Any:
    """This value, of text what its JSON says: CSV and flat Parquet keep lists as JSON text."""
    if type(value) is not str:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise FormError(f"{key!r} is text but not JSON: {error}") from None


def _turn(turn: Mapping[str, Any], n: int, last_call_id: str) -> Message:
    """Read one turn; ShareGPT links a result to its call by position, so the ids are made up here."""
    sharegpt = turn.get("from") is not None
    name_of_role = turn["from"] if sharegpt else turn.get("role")
    role = _role(name_of_role, n)
    if sharegpt and turn.get("role") is not None and _role(turn["role"], n) != role:
        raise FormError(f"turn {n}: two different roles in one turn ('from', 'role')")
    text = _content(turn["value"] if turn.get("value") is not None else turn.get("content"), n)
    if turn.get("content") is not None and _content(turn["content"], n) != text:
        raise FormError(f"turn {n}: two different texts in one turn ('value', 'content')")
    calls = tuple(_call(c, n) for c in _list(turn.get("tool_calls"), f"turn {n}: 'tool_calls'"))
    if name_of_role == "function_call":
        calls += _calls_in_text(text, n)
        text = "" if calls else text
    elif turn.get("function_call"):
        calls += (_call({"function": turn["function_call"]}, n),)
    for key in REASONING_KEYS:  # templates of reasoning models put it before the answer
        thought = _content(turn.get(key), n)
        text = thought if not text else text if thought in text else f"{thought}\n{text}"
    call_id = turn.get("tool_call_id") or (last_call_id if sharegpt and role == "tool" else "")
    return Message(role, text, _short_text(turn.get("name"), n), calls, _short_text(call_id, n))


def _role(name: Any, n: int) -> Role:
    """Whose turn is it, by any of the names that a role has?"""
    role = ROLES.get(name) if type(name) is str else None
    if role is None:
        raise FormError(f"turn {n}: unknown role {str(name)[:40]!r}")
    return role


def _content(content: Any, n: int) -> str:
    """The text of one turn: null is empty, of a list of parts the text parts, one a line."""
    if type(content) is str:
        return content
    if content is None:
        return ""
    if type(content) is list:
        parts = [part.get("text") if type(part) is dict else part for part in content]
        if all(type(part) is str or part is None for part in parts):
            return "\n".join(part for part in parts if part is not None)
    raise FormError(f"turn {n}: content must be text, null or a list of parts, got {_kind(content)}")


def _call(call: Any, n: int) -> ToolCall:
    """Read one tool call, OpenAI's nesting or flat; arguments that are an object are written as JSON."""
    body = call.get("function") or call if type(call) is dict else None
    if type(body) is not dict or type(body.get("name")) is not str:
        raise FormError(f"turn {n}: a tool call needs a function with a name")
    arguments = body.get("arguments")
    if type(arguments) is not str:
        arguments = "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(_short_text(call.get("id"), n), body["name"], arguments)


def _calls_in_text(text: str, n: int) -> tuple[ToolCall, ...]:
    """Which calls does a ShareGPT `function_call` turn make? None if its value is no JSON call (it stays text)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    calls = value if type(value) is list else [value]
    if not calls or not all(type(c) is dict and type(c.get("name")) is str for c in calls):
        return ()
    return tuple(_call({"id": f"call_{n}_{k}", "function": c}, n) for k, c in enumerate(calls))


def openai_turn(message: Message) -> dict[str, Any]:
    """Write one message as the OpenAI chat form has it."""
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.name:
        turn["name"] = message.name
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in message.tool_calls
        ]
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _refuse_second_answer(row: Mapping[str, Any], given: list[str], record: Record) -> None:
    """Refuse a row whose other form teaches something that this record does not say."""
    others = [m.text for key in given[1:] for m in _turns(row, key) if m.role == "assistant"]
    if any(k in row for k in PROMPT_KEYS):
        others += [_flat_answer(row), *(m.text for m in _history(row) if m.role == "assistant")]
    if any(text not in record.response for text in others):
        raise FormError(f"two different answers in one row ({given[0]!r} and another form)")


def _refuse_surrogates(record: Record) -> None:
    """Refuse text that no UTF-8 file, database or tokenizer can hold."""
    texts = [record.id, record.tools]
    for m in record.messages:
        texts += [m.text, m.name, m.tool_call_id]
        texts += [part for call in m.tool_calls for part in (call.id, call.name, call.arguments)]
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormError(f"not valid Unicode: lone surrogate {error.object[error.start]!a}") from None


def _text(row: Mapping[str, Any], key: str) -> str:
    """The text under this key, or a refusal that names key and type."""
    value = row[key]
    if type(value) is not str:
        raise FormError(f"{key!r} must be text, got {_kind(value)}")
    return value


def _short_text(value: Any, n: int) -> str:
    """A name or id: text, a number or nothing."""
    if value is None:
        return ""
    if type(value) in (str, int):
        return str(value)
    raise FormError(f"turn {n}: a name or id must be text, got {_kind(value)}")


def _list(value: Any, what: str) -> list[Any]:
    """This value as a list; null is an empty one."""
    if value is None:
        return []
    if type(value) is not list:
        raise FormError(f"{what} must be a list, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    """What would a reader of JSON call this value?"""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), f"a {type(value).__name__}")
