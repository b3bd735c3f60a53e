"""Four eyes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from cryptosentinel.agentspec.amounts import UnreadableError
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.registry import register

FACT = Operand.named("fact.approvals")


@register("predicate", "dual_approval")
def dual_approval(required: int = 2, approvals: Operand = FACT) -> Test:
    """Did enough different people approve of this, other than the agent that asks?

    `approvals` is a list of names; `fact.approvals` comes from the operator's own system. Case and space around a name
    make no second person. A rule says `check not dual_approval`.

    Raises:
        ValueError: less than one approval required.

    >>> from cryptosentinel.agentspec.context import Signals
    >>> from cryptosentinel.types import Event
    >>> pay = Event("1", 0.0, "r", "Trader", "tool_call", "Trader", "bank", {"tool": "pay", "arguments": {}})
    >>> said = [["ann", "bob"], ["ann", "Ann "], ["ann", "Trader"]]
    >>> [dual_approval()(Context(pay, Signals(facts={"approvals": names}))) for names in said]
    [True, False, False]
    """
    if required < 1:
        raise ValueError(f"required must be at least 1, got {required}")

    def test(context: Context) -> bool:
        names = approvals.value(context)
        if isinstance(names, str | bytes | Mapping) or not isinstance(names, Collection):
            raise UnreadableError(f"approvals are a list of names, got {type(names).__name__}")
        if not all(isinstance(name, str) for name in names):
            raise UnreadableError("an approval is a name")
        people = {name.strip().casefold() for name in names} - {context.event.agent.strip().casefold(), ""}
        return len(people) >= required

    return test
