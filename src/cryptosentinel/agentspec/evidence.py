"""The values that a rule looked at when it fired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cryptosentinel.agentspec.compile import leaves, number
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.syntax import Aggregate, Compare, Literal_, Predicate, Reference, Rule, Score
from cryptosentinel.agentspec.totals import Total

_TEXT = 200


def evidence(rule: Rule, context: Context, total_of: Callable[[Aggregate], Total]) -> dict[str, Any]:
    """The numbers behind a firing: the rule, its line, and every value it names, as text; ready for JSON."""
    values: dict[str, str | None] = {}
    for value in _values(rule):
        try:
            said = context.value(value) if isinstance(value, Reference) else number(value, total_of)(context)
            values[str(value)] = str(said)[:_TEXT].encode("utf-8", "replace").decode()
        except Exception:  # one value of many; the decision did not need it, or it cannot be shown
            values[str(value)] = None
    return {"rule": rule.id, "line": rule.at[0], "values": values}


def _values(rule: Rule) -> Iterator[Reference | Aggregate | Score]:
    for leaf in leaves(rule.condition):
        match leaf:
            case Predicate():
                given = [*leaf.arguments, *(argument for _, argument in leaf.named)]
                yield from (a for a in given if isinstance(a, Reference))
            case Compare():
                yield from (side for side in (leaf.left, leaf.right) if not isinstance(side, Literal_))
