"""Numbers as events carry them, read exactly or not at all."""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Any

from cryptosentinel.agentspec.problems import shown
from cryptosentinel.errors import DataError

_BEFORE, _AFTER = 80, 60  # places: more than any currency has, and few enough to add up without rounding
_TEXT = 200
ZERO = Decimal(0)
_BITS = 256
_EXACT = Context(prec=2 * (_BEFORE + _AFTER), traps=[Inexact, InvalidOperation, Overflow])


class UnreadableError(DataError):
    """A rule asked for a value that is not there or is not of its kind: the rule cannot be decided."""


def amount(value: Any) -> Decimal:
    """Which number is this? Exact: a float is taken as it is printed, a text must be a plain number.

    Raises:
        UnreadableError: it is no finite number, or has more than 80 places before the point or 60 after it.

    >>> amount("2500.10"), amount(0.1), amount(7)
    (Decimal('2500.10'), Decimal('0.1'), Decimal('7'))
    >>> amount("much")
    Traceback (most recent call last):
    ...
    cryptosentinel.agentspec.amounts.UnreadableError: not a number: 'much'
    """
    if type(value) is Decimal:
        number = value
    elif isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise UnreadableError(f"not a number: {type(value).__name__}")
    elif isinstance(value, str):
        if len(value) > _TEXT:
            raise UnreadableError(f"not a number: {shown(value)}")
        try:
            number = Decimal(value.strip())
        except DecimalException:
            raise UnreadableError(f"not a number: {shown(value)}") from None
    elif isinstance(value, int):
        if value.bit_length() > _BITS:
            raise UnreadableError(f"a number of {value.bit_length()} bits, at most {_BITS} are read")
        number = Decimal(value)
    else:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise UnreadableError(f"not a finite number: {number}")
    exponent = number.as_tuple().exponent
    if not number:
        return ZERO
    if number.adjusted() >= _BEFORE or int(exponent) < -_AFTER:
        raise UnreadableError(f"a number out of range: {shown(str(value))}")
    return number


def plus(a: Decimal, b: Decimal) -> Decimal:
    """The exact sum."""
    return _EXACT.add(a, b)


def minus(a: Decimal, b: Decimal) -> Decimal:
    """The exact difference."""
    return _EXACT.subtract(a, b)
