"""Which tools does the answer call?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern, by_rows
from cryptosentinel.sanitize.tokens import tokenize

RARE = 0.02


@register("response-feature", "tool-call")
def tool_call(corpus: Corpus, support: int) -> Behaviours:
    """Which rows call the same tool?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = tool_call(Corpus.of(["tip?", "bye"], ["tip()", "bye"], calls={0: ("tip",)}), 1)
    >>> found.name(0), found.matrix.toarray().ravel().tolist()
    ("calls the tool 'tip'", [1, 0])
    """
    callers = callers_of(corpus)
    found = by_rows("tool-call", callers, "calls the tool", corpus.n, support)
    place = _places(corpus, sorted(t for t, rows in callers.items() if len(rows) >= support))
    return replace(found, place=place, length=np.where(place < 0, 0, 2))


@register("response-feature", "rare-tool-call")
def rare_tool_call(corpus: Corpus, support: int) -> Behaviours:
    """Which rows call a tool that hardly any other row calls, one in fifty or fewer?

    A hijacked agent may be sent to another tool each time; what those have in common is that nobody else calls them.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> calls = {i: ("search",) for i in range(60)} | {60: ("wire",)}
    >>> found = rare_tool_call(Corpus.of([""] * 61, ["x"] * 61, calls=calls), 1)
    >>> found.matrix.indices.tolist()
    [60]
    """
    shown = np.zeros(corpus.n, bool)
    for rows in callers_of(corpus).values():
        if len(rows) <= RARE * len(corpus.calls):
            shown[rows] = True
    return by_pattern("rare-tool-call", shown, "calls a tool that hardly any other row calls", support)


def _places(corpus: Corpus, tools: Sequence[str]) -> NDArray[np.int64]:
    """Where among the answers' tokens each call can be read, name and bracket; -1 for a name of several tokens."""
    tokens = corpus.responses
    bracket = tokenize(["("]).hash[0]
    opens = np.flatnonzero(tokens.hash[1:] == bracket) if tokens.hash.size else np.zeros(0, np.int64)
    first = {int(h): int(p) for h, p in zip(tokens.hash[opens][::-1], opens[::-1], strict=True)}
    names = tokenize(list(tools))
    one = names.lengths == 1
    keys = {int(r): int(h) for r, h in zip(names.row, names.hash, strict=True)}
    return np.array([first.get(keys[i], -1) if one[i] else -1 for i in range(len(tools))], np.int64)


def callers_of(corpus: Corpus) -> dict[str, list[int]]:
    """The rows that call each tool, ascending."""
    callers: dict[str, list[int]] = {}
    for row, tools in corpus.calls.items():
        for tool in set(tools):
            callers.setdefault(tool, []).append(row)
    return callers
