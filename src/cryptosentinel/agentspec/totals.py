"""Aggregates at work: what each event adds to a window, and what the window says now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from decimal import Decimal

from cryptosentinel.agentspec.amounts import UnreadableError, amount
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.syntax import Aggregate, Reference
from cryptosentinel.agentspec.tally import UNREADABLE, Cell, Item, Tallies, Tally, Unreadable

_TEXT = 200  # a longer text is remembered by its digest


class Total:
    """One aggregate of a rule file and what it has counted."""

    __slots__ = ("_by", "_last", "_of", "_tallies", "_total")

    def __init__(self, aggregate: Aggregate) -> None:
        """Nothing was seen yet."""
        self._total = aggregate.total
        self._of = aggregate.of
        self._by = aggregate.window.by
        self._tallies = Tallies(aggregate.window.within, aggregate.window.scope)
        self._last: tuple[Context, Tally, Cell] | None = None  # what was counted last is mostly read next

    def add(self, context: Context) -> None:
        """Count this event."""
        group = "" if self._by is None else _read(group_of, context, self._by)
        tally = self._tallies.of(context.event)
        self._last = context, tally, tally.add(context.event.time, group, self._item(context))

    def _item(self, context: Context) -> Item:
        if self._of is None:
            return None
        return _read(_added if self._total == "sum" else _told_apart, context, self._of)

    def read(self, context: Context) -> Decimal:
        """The total as of this event.

        Raises:
            UnreadableError: something that counts could not be read.
        """
        if self._last is not None and self._last[0] is context:
            cell = self._last[1].sound(self._last[2])
        else:
            group = "" if self._by is None else group_of(context, self._by)
            cell = self._tallies.of(context.event).read(context.event.time, group)
        if self._total == "sum":
            return cell.sum
        return Decimal(cell.count if self._total == "count" else len(cell.values))

    def forget(self, run_id: str) -> None:
        """Drop what belongs to a run that is over."""
        self._tallies.forget(run_id)


def _read(reader: Callable[[Context, Reference], Hashable], context: Context, of: Reference) -> Hashable | Unreadable:
    try:
        return reader(context, of)
    except Exception:  # an event of a batch that cannot be read: the total says so for as long as it counts
        return UNREADABLE


def _added(context: Context, of: Reference) -> Decimal:
    number = context.amount(of)
    if number < 0:
        raise UnreadableError(f"{of} is {number}: a sum takes amounts of at least 0")  # else one could make room by it
    return number


def _told_apart(context: Context, of: Reference) -> Hashable:
    value = context.value(of)
    if isinstance(value, str):
        return value if len(value) <= _TEXT else hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    if isinstance(value, bool):
        return str(value)
    return str(amount(value).normalize())  # a text, so that it is not added up


def group_of(context: Context, by: Reference) -> str:
    """Which group does this event belong to?

    Raises:
        UnreadableError: the value is missing or is neither a text nor a number.
    """
    return grouped(context.value(by))


def grouped(value: object) -> str:
    """The name of a group: case and space around a text make no difference, nor how a number is written.

    >>> grouped(" 0xAB"), grouped(5.0)
    ('0xab', '5')
    """
    return value.strip().casefold() if isinstance(value, str) else f"{amount(value).normalize():f}"
