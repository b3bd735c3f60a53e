"""How a tool answers when something is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from cryptosentinel.errors import DataError

Tool = Callable[..., str]
ERROR = "error: "
MOST_SYMBOLS = 12


def answering(function: Callable[..., str]) -> Tool:
    """Give the reason of a failure as the answer.

    >>> def price(symbol: str) -> str:
    ...     raise DataError("no such symbol")
    >>> answering(price)("X")
    'error: no such symbol'
    """

    @functools.wraps(function)
    def answer(*args: Any, **kwargs: Any) -> str:
        try:
            return function(*args, **kwargs)
        except DataError as error:
            return f"{ERROR}{error}"

    return answer


def lines(symbols: Any, describe: Callable[[str], str]) -> str:
    """One line a symbol; what is wrong with one of them stands in its own line.

    Raises:
        DataError: not a list of 1 to 12 symbols.
    """
    names = symbols.split() if isinstance(symbols, str) else symbols
    if not isinstance(names, Iterable) or not 1 <= len(names := list(names)) <= MOST_SYMBOLS:
        raise DataError(f"between 1 and {MOST_SYMBOLS} symbols are needed, got {str(symbols)[:60]!r}")
    return "\n".join(_line(str(name)[:20], describe) for name in names)


def _line(name: str, describe: Callable[[str], str]) -> str:
    try:
        return f"{name}: {describe(name)}"
    except DataError as error:
        return f"{name}: {ERROR}{error}"
