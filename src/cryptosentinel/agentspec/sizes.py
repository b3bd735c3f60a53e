"""How large is what an event asks for, where a rule does not say which argument that is?"""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.agentspec.amounts import UnreadableError, amount
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.signature import Operand

USUAL = ("amount", "amount_in", "quantity", "value")


def size(context: Context, operand: Operand | None) -> Decimal:
    """The amount of this event: of the operand, or the largest among the usual arguments that are there.

    The largest, so that a small `amount` beside the real one hides nothing.

    Raises:
        UnreadableError: there is none, it is no number, or it is below 0.

    >>> from cryptosentinel.types import Event
    >>> arguments = {"amount": "1", "amount_in": 5000}
    >>> size(Context(Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "swap", "arguments": arguments})), None)
    Decimal('5000')
    """
    if operand is not None:
        found = operand.amount(context)
    else:
        there = [amount(context.arguments[name]) for name in USUAL if name in context.arguments]
        if not there:
            raise UnreadableError(f"no amount: none of {', '.join(USUAL)} among the arguments")
        found = max(there)
    if found < 0:
        raise UnreadableError(f"an amount must be at least 0, got {found}")
    return found
