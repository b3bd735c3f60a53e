"""Whether an event has a value at all."""

from __future__ import annotations

from cryptosentinel.agentspec.amounts import UnreadableError
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register


@register("predicate", "present")
def present(value: Operand) -> Test:
    """Does the event have this value, and is it not null?

    The way to say that a value may be missing: `check present(arg.memo) and arg.memo matches "urgent"`. Arguments
    that cannot be read at all are not "absent": then nothing is decided.

    >>> from cryptosentinel.types import Event
    >>> call = Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "pay", "arguments": {"memo": None}})
    >>> present(Operand.named("arg.memo"))(Context(call)), present(Operand.named("agent"))(Context(call))
    (False, True)
    """

    def test(context: Context) -> bool:
        if value.reference is not None and value.reference.root == "arg":
            _ = context.arguments
        try:
            return value.value(context) is not None
        except UnreadableError:
            return False

    return test
