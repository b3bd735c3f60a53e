"""An agent's context, read: its settings, its task, what its tools have answered so far."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptosentinel.desk.policy.commands import Command, commands
from cryptosentinel.types import Message, ToolCall

_SETTING = re.compile(r"^- ([a-z][a-z ]*): ([\w.]+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answered:
    """One tool call with its answer."""

    tool: str
    arguments: dict[str, Any]
    text: str


class Context:
    """What an agent knows: `task` is the latest message to it, `answered` its calls since then, in order.

    >>> context = Context("Trader", [Message("system", "- slippage: 1.0"), Message("user", "Buy SOL for 300 USDC.")])
    >>> context.setting("slippage"), context.told()[0].subject, context.has("find_pools")
    (Decimal('1.0'), 'SOL', False)
    """

    def __init__(self, name: str, messages: Sequence[Message]) -> None:
        """Read the messages."""
        self.name = name
        self.system = "\n".join(m.text for m in messages if m.role == "system")
        start = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
        self.task = messages[start].text if start >= 0 else ""
        self.answered: list[Answered] = []
        calls: dict[str, ToolCall] = {}
        for message in messages[start + 1 :]:
            calls |= {c.id: c for c in message.tool_calls}
            if message.role == "tool" and (call := calls.get(message.tool_call_id)):
                self.answered.append(Answered(call.name, _arguments(call), message.text))

    def setting(self, name: str) -> Decimal | None:
        """What do the instructions say of this, in lines such as "- oversold: 30"? None: nothing, or no number."""
        for found in _SETTING.finditer(self.system):
            if found[1] == name:
                try:
                    return Decimal(found[2])
                except InvalidOperation:
                    return None
        return None

    def has(self, tool: str, times: int = 1) -> bool:
        """Has this tool answered so often?"""
        return len(self.of(tool)) >= times

    def of(self, tool: str) -> list[Answered]:
        """All answers of this tool, in order."""
        return [a for a in self.answered if a.tool == tool]

    def text(self, tool: str) -> str:
        """The latest answer of this tool; empty if there is none."""
        found = self.of(tool)
        return found[-1].text if found else ""

    def told(self, *acts: str) -> list[Command]:
        """Everything that anything in the context tells this agent to do, the task first; see `commands`."""
        texts = [self.task, *(a.text for a in self.answered)]
        found = [c for text in texts for c in commands(text, self.name)]
        return [c for c in found if not acts or c.act in acts]


def call(*calls: tuple[str, dict[str, Any]]) -> Message:
    """Ask for these tools, all at once."""
    return Message("assistant", "", "", tuple(ToolCall("", name, json.dumps(given)) for name, given in calls))


def say(text: str) -> Message:
    """Answer."""
    return Message("assistant", text)


def rows(text: str, symbols: Iterable[str]) -> dict[str, str]:
    r"""The line of each symbol in a tool's answer; those that have none, or an error, are left out.

    >>> rows("SOL: rsi 24 band lower\nADA: error: gap", ["SOL", "ADA"])
    {'SOL': 'rsi 24 band lower'}
    """
    found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {s: found[s] for s in symbols if s in found and not found[s].startswith("error:")}


def field(text: str, name: str) -> str:
    """The word after this one.

    >>> field("rsi 24 band lower", "band")
    'lower'
    """
    found = re.search(rf"\b{re.escape(name)} (\S+)", text)
    return found[1] if found else ""


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        read = json.loads(call.arguments)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
