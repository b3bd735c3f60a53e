"""Whoever was never paid before."""

from __future__ import annotations

from cryptosentinel.agentspec.equality import among
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register

RECIPIENT = Operand.named("arg.recipient")
FACT = Operand.named("fact.counterparties")


@register("predicate", "new_counterparty")
def new_counterparty(counterparty: Operand = RECIPIENT, known: Operand = FACT) -> Test:
    """Is this counterparty not among the known ones?

    `known` is a list in the rule, or `fact.counterparties`, which the operator keeps. The run's own history does not
    make anyone known: an agent could try twice, and be held only once.

    >>> from cryptosentinel.agentspec.context import Context, Signals
    >>> from cryptosentinel.types import Event
    >>> pay = Event("1", 0.0, "r", "a", "tool_call", "a", "b", {"tool": "pay", "arguments": {"recipient": "0x9"}})
    >>> new_counterparty()(Context(pay, Signals(facts={"counterparties": ["0x1"]})))
    True
    """
    return lambda context: not among(counterparty.value(context), known.value(context))
