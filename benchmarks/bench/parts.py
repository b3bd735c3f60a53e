"""The parts of the scan that are registered, and a way to do without some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cryptosentinel import registry, sanitize

Part = tuple[str, str]  # (kind, name)
HOME = sanitize.__name__


def registered() -> list[Part]:
    """Every part of the scan, by kind and name.

    >>> ("response-feature", "phrase") in registered()
    True
    """
    entries = registry._ENTRIES.items()  # no accessor lists all kinds, and the product needs none
    return sorted(part for part, entry in entries if getattr(entry.target, "__module__", "").startswith(HOME))


@contextmanager
def hidden(parts: Iterable[Part]) -> Iterator[None]:
    """Within this block these parts are not registered, so a scan runs without them.

    >>> with hidden([("response-feature", "phrase")]):
    ...     ("response-feature", "phrase") in registered()
    False
    """
    taken = {part: registry._ENTRIES.pop(part) for part in parts}
    try:
        yield
    finally:
        registry._ENTRIES.update(taken)
