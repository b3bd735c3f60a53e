"""When are two values the same? Where that cannot be said, nothing is decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from cryptosentinel.agentspec.amounts import UnreadableError, amount

T = TypeVar("T")


def text(value: Any) -> str:
    """This value as a text; numbers as they are written.

    Raises:
        UnreadableError: it is neither a text nor a number.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnreadableError(f"neither a text nor a number: {type(value).__name__}")
    return str(value)


def same(a: Any, b: Any) -> bool:
    """Are these the same text, number or truth? A number is the same in whatever form it is written.

    Raises:
        UnreadableError: one of them is of another kind than the other, or of none of these.

    >>> same("2.50", Decimal("2.5")), same("SOL", "sol"), same(True, True)
    (True, False, True)
    """
    if isinstance(a, bool) or isinstance(b, bool):
        if isinstance(a, bool) and isinstance(b, bool):
            return a is b
        raise UnreadableError("a truth is compared with something else")
    if isinstance(a, str) and isinstance(b, str):
        return a == b
    if isinstance(a, str) or isinstance(b, str):
        return bool(_number(a) == _number(b)) if _number(a) is not None and _number(b) is not None else False
    return amount(a) == amount(b)


def among(item: Any, items: Any) -> bool:
    """Is it one of them?

    Raises:
        UnreadableError: what should be a list is none, or the item is neither text, number nor truth.

    >>> among("SOL", ["USDC", "SOL"]), among("5", [Decimal(5)])
    (True, True)
    """
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Collection):
        raise UnreadableError(f"not a list: {type(items).__name__}")
    if not isinstance(item, bool):
        text(item)
    return any(isinstance(item, bool) == isinstance(one, bool) and same(item, one) for one in items)


def among_texts(item: Callable[[T], Any], texts: frozenset[str]) -> Callable[[T], bool]:
    """The same for a list of texts alone, as a function, and faster."""

    def test(context: T) -> bool:
        found = item(context)
        return found in texts if type(found) is str else among(found, texts)

    return test


def _number(value: Any) -> Decimal | None:
    try:
        return amount(value)
    except UnreadableError:
        if isinstance(value, str):
            return None
        raise
