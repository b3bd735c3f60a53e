"""What a rule can see of one event: its arguments, and what the operator's own parts say about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from cryptosentinel.agentspec.amounts import UnreadableError, amount
from cryptosentinel.agentspec.syntax import Reference
from cryptosentinel.types import Event

# Where each kind of event keeps what `arg.` names; elsewhere it is the body itself.
_ARGUMENTS = {"tool_call": "arguments", "decision": "attributes", "tool_result": "result"}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Signals:
    """What the other defences and the operator's systems know when an event is judged; never what an agent says.

    Args:
        scores: suspicion, consistency, safety by the semantic guard, from 0 to 1, higher = worse.
        alarms: stream -> has its drift alarm gone off? None: no monitor is running.
        facts: what `fact.` names: liquidity, approvals, known counterparties, as looked up by the operator.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    alarms: Mapping[str, bool] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


NO_SIGNALS = Signals()


def tool_of(event: Event) -> str:
    """Which tool is called, or has answered? Empty where it is no such event or the name is missing.

    >>> tool_of(Event("1", 0.0, "r", "Trader", "tool_call", "Trader", "dex", {"tool": "dex.swap", "arguments": {}}))
    'dex.swap'
    """
    if event.kind not in ("tool_call", "tool_result"):
        return ""
    name = event.body.get("tool", event.body.get("name", ""))
    return name if isinstance(name, str) else ""


class Context:
    """One event as the rules see it. Arguments are read once, when a rule first asks.

    >>> body = {"tool": "swap", "arguments": '{"amount": "12.50", "legs": [{"to": "base"}]}'}
    >>> seen = Context(Event("1", 0.0, "r", "Trader", "tool_call", "Trader", "dex", body))
    >>> seen.amount(Reference("arg", ("amount",))), seen.value(Reference("arg", ("legs", "0", "to")))
    (Decimal('12.50'), 'base')
    """

    __slots__ = ("_arguments", "amounts", "event", "signals")

    def __init__(self, event: Event, signals: Signals = NO_SIGNALS) -> None:
        """Nothing is read yet."""
        self.event = event
        self.signals = signals
        self._arguments: Any = _MISSING
        self.amounts: dict[str, Decimal] = {}  # numbers read so far, by how they are written

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What `arg.` names.

        Raises:
            UnreadableError: they are neither a mapping nor the JSON text of one.
        """
        if self._arguments is _MISSING:
            self._arguments = _arguments(self.event)
        if self._arguments is None:
            raise UnreadableError(f"the arguments of this {self.event.kind} are no JSON object")
        found: Mapping[str, Any] = self._arguments
        return found

    def value(self, reference: Reference) -> Any:
        """What does this name in the event?

        Raises:
            UnreadableError: nothing.
        """
        root = reference.root
        if root == "arg":
            found: Any = self.arguments
        elif root == "fact":
            found = self.signals.facts
        elif root == "tool":
            return tool_of(self.event)
        elif root == "text":
            found = self.event.body.get("text")
            if not isinstance(found, str):
                raise UnreadableError(f"this {self.event.kind} has no text")
            return found
        else:
            return getattr(self.event, root)
        for step in reference.path:
            if isinstance(found, Mapping):
                found = found.get(step, _MISSING)
            elif isinstance(found, Sequence) and not isinstance(found, str | bytes) and step.isdecimal():
                found = found[int(step)] if len(step) < 10 and int(step) < len(found) else _MISSING
            else:
                found = _MISSING
            if found is _MISSING:
                raise UnreadableError(f"{reference} is missing")
        return found

    def amount(self, reference: Reference) -> Decimal:
        """The same, as a number.

        Raises:
            UnreadableError: nothing, or no number.
        """
        key = reference.written
        known = self.amounts.get(key)
        if known is None:
            found = self.value(reference)
            try:
                known = self.amounts[key] = amount(found)
            except UnreadableError as error:
                raise UnreadableError(f"{key}: {error}") from None
        return known


def _arguments(event: Event) -> Mapping[str, Any] | None:
    """None: cannot be read, so no rule about them can be decided."""
    key = _ARGUMENTS.get(event.kind)
    if key is None or (key not in event.body and event.kind != "tool_call"):
        return event.body
    given = event.body.get(key)
    if event.kind == "tool_call" and given is None:
        return {}
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}", parse_float=Decimal, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            given = None
    if event.kind == "tool_result" and not isinstance(given, Mapping):
        return event.body  # results are often plain text
    return given if isinstance(given, Mapping) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice; which of them the tool would take is unknown")
    return found
