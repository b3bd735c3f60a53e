"""Markets too thin to trade in."""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register

FACT = Operand.named("fact.liquidity")


@register("predicate", "low_liquidity")
def low_liquidity(minimum: Decimal, liquidity: Operand = FACT) -> Test:
    """Is there less liquidity than the minimum?

    Read by default from `fact.liquidity`, which the operator looks up: what an agent says of a market is what a
    poisoned agent would lie about. Where nobody looked it up, the rule cannot be decided, and that is a hold.

    Raises:
        ValueError: a minimum of 0 or less.

    >>> from cryptosentinel.agentspec.context import Context, Signals
    >>> from cryptosentinel.types import Event
    >>> trade = Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "swap", "arguments": {}})
    >>> low_liquidity(Decimal(50_000))(Context(trade, Signals(facts={"liquidity": 1200})))
    True
    """
    if minimum <= 0:
        raise ValueError(f"minimum must be above 0, got {minimum}")
    return lambda context: liquidity.amount(context) < minimum
