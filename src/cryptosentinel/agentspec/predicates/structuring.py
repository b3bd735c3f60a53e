"""Splitting a sum so that each part stays below the limit."""

from __future__ import annotations

from decimal import Decimal

from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.signature import Operand
from cryptosentinel.agentspec.sizes import size
from cryptosentinel.agentspec.syntax import Duration
from cryptosentinel.agentspec.tally import Tallies
from cryptosentinel.agentspec.totals import grouped
from cryptosentinel.registry import register

MARGIN = Decimal("0.2")
DAY = Duration(86_400)


@register("predicate", "structuring")
class Structuring:
    """Is this one of many amounts just below a limit?

    Just below: less than the limit, by at most the share `margin` of it. True from the `times`-th such amount within
    the window on, this one included, at this one and every further one; an amount below the margin is not looked at,
    however many there are: `sum(arg.amount, within=1d)` is the rule for those. Counted over all agents of a run, so
    that a sum is not split among them, and what was held counts too.

    Args:
        limit: what the amounts stay below.
        times: how many make a pattern, at least 2.
        within: the window.
        margin: above 0, at most 1.
        amount: which argument; else the largest of amount, amount_in, quantity, value.
        by: count apart by this value, such as arg.recipient.

    >>> from cryptosentinel.types import Event
    >>> def pay(time, amount):
    ...     body = {"tool": "pay", "arguments": {"amount": amount}}
    ...     return Context(Event("1", time, "r", "a", "tool_call", "a", "b", body))
    >>> test = Structuring(Decimal(1000))
    >>> for time, amount in ((0, 950), (5, 10), (9, 990), (12, "999.99")):
    ...     test.observe(pay(time, amount))
    >>> test(pay(12, "999.99")), test(pay(12, 10))
    (True, False)
    """

    __slots__ = ("_amount", "_by", "_floor", "_limit", "_tallies", "_times")

    def __init__(
        self,
        limit: Decimal,
        times: int = 3,
        within: Duration = DAY,
        margin: Decimal = MARGIN,
        amount: Operand | None = None,
        by: Operand | None = None,
    ) -> None:
        """Hold the bounds; nothing was seen yet."""
        if limit <= 0:
            raise ValueError(f"limit must be above 0, got {limit}")
        if times < 2:
            raise ValueError(f"times must be at least 2, got {times}")
        if not 0 < margin <= 1:
            raise ValueError(f"margin must lie in (0, 1], got {margin}")
        self._limit, self._floor, self._times = limit, limit * (1 - margin), times
        self._amount, self._by = amount, by
        self._tallies = Tallies(within)

    def observe(self, context: Context) -> None:
        """Count this event if its amount is just below the limit."""
        if self._is_just_below(context):
            self._tallies.of(context.event).add(context.event.time, self._group(context), None)

    def __call__(self, context: Context) -> bool:
        """Is it just below, and are there enough of them?"""
        if not self._is_just_below(context):
            return False
        event = context.event
        return self._tallies.of(event).read(event.time, self._group(context)).count >= self._times

    def forget(self, run_id: str) -> None:
        """Drop what belongs to a run that is over."""
        self._tallies.forget(run_id)

    def _is_just_below(self, context: Context) -> bool:
        return self._floor <= size(context, self._amount) < self._limit

    def _group(self, context: Context) -> str:
        return "" if self._by is None else grouped(self._by.value(context))
