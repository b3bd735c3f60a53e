"""Tokens that nobody vouched for."""

from __future__ import annotations

from cryptosentinel.agentspec.equality import among
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register

TOKEN = Operand.named("arg.token_out")


@register("predicate", "unverified_token")
def unverified_token(verified: tuple[str, ...], token: Operand = TOKEN) -> Test:
    """Is this token absent from the list of those that were verified?

    The list stands in the rule. Symbols and addresses are compared letter by letter, so `sol` is not `SOL`.

    Raises:
        ValueError: an empty list.

    >>> from cryptosentinel.agentspec.context import Context
    >>> from cryptosentinel.types import Event
    >>> trade = Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "swap", "arguments": {"token_out": "ORVA"}})
    >>> unverified_token(("SOL", "USDC"))(Context(trade))
    True
    """
    if not verified:
        raise ValueError("the list of verified tokens is empty")
    return lambda context: not among(token.value(context), verified)
