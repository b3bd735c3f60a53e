"""Trades of at least a limit."""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.agentspec.sizes import size
from cryptosentinel.registry import register

LIMIT = Decimal(1000)


@register("predicate", "is_large_trade")
def is_large_trade(limit: Decimal = LIMIT, amount: Operand | None = None) -> Test:
    """Is this for at least the limit?

    Args:
        limit: in the unit of the amount; 1000 where the rule does not say.
        amount: which argument to read; else the largest of amount, amount_in, quantity, value.

    Raises:
        ValueError: a limit of 0 or less.

    >>> from cryptosentinel.agentspec.context import Context
    >>> from cryptosentinel.types import Event
    >>> trade = Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "swap", "arguments": {"amount_in": "1000"}})
    >>> is_large_trade()(Context(trade)), is_large_trade(Decimal(2000))(Context(trade))
    (True, False)
    """
    if limit <= 0:
        raise ValueError(f"limit must be above 0, got {limit}")
    return lambda context: size(context, amount) >= limit
