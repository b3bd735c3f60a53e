"""Is the whole answer one that other rows give too?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.features.base import Behaviours, by_key
from cryptosentinel.sanitize.tokens import Tokens

_MIX = np.uint64(0xD6E8FEB86659FD93)


@register("response-feature", "fixed-answer")
def fixed_answer(texts: Sequence[str], tokens: Tokens, support: int) -> Behaviours:
    """Which rows give word for word the same answer (case and spacing aside)?

    >>> from cryptosentinel.sanitize.tokens import tokenize
    >>> found = fixed_answer([], tokenize(["No.", "no .", "yes"]), 2)
    >>> found.name(0), found.matrix.toarray().ravel().tolist()
    ("is exactly 'no .'", [1, 1, 0])
    """
    lengths = tokens.lengths
    start = np.r_[0, np.cumsum(lengths)[:-1]] if lengths.size else np.zeros(0, np.int64)
    place = np.arange(tokens.row.size) - start[tokens.row]
    with np.errstate(over="ignore"):
        weighted = (tokens.hash ^ (tokens.hash >> np.uint64(29))) * (
            place.astype(np.uint64) * np.uint64(2) * _MIX + _MIX
        )
        total = np.r_[np.uint64(0), np.cumsum(weighted, dtype=np.uint64)]
        keys = total[start + lengths] - total[start]
    live = np.flatnonzero(lengths > 0)
    return by_key(
        "fixed-answer", keys[live], live.astype(np.int32), start[live], lengths[live], tokens, support, "is exactly"
    )
