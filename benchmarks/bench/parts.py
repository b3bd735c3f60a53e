"""The parts of the scan that are registered, and a way to do without some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from cryptosentinel import registry, sanitize
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern

Part = tuple[str, str]  # (kind, name)
FEATURE = "response-feature"
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

    Where no response feature is left, one that never shows anything stands in.

    >>> with hidden([("response-feature", "phrase")]):
    ...     ("response-feature", "phrase") in registered()
    False
    """
    taken = {part: registry._ENTRIES.pop(part) for part in parts}
    stand_in = (FEATURE, "none")
    if not registry.names(FEATURE):
        registry._ENTRIES[stand_in] = registry.Entry(*stand_in, 1, _nothing)
    try:
        yield
    finally:
        registry._ENTRIES.pop(stand_in, None)
        registry._ENTRIES.update(taken)


def _nothing(corpus: Corpus, support: int) -> Behaviours:
    return by_pattern("none", np.zeros(corpus.n, bool), "shows nothing", support)
