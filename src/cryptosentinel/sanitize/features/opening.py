"""How does the answer begin?"""

from __future__ import annotations

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_key
from cryptosentinel.sanitize.grams import roll

WORDS = (1, 2, 4)


@register("response-feature", "opening")
def opening(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers open with the same one, two or four words (and go on)?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = opening(Corpus.of([""] * 2, ["oh joy , a question", "oh joy , more"]), 2)
    >>> [found.name(i) for i in range(found.matrix.shape[1])].count("opens with 'oh joy'")
    1
    """
    tokens = corpus.responses
    lengths = tokens.lengths
    start = np.r_[0, np.cumsum(lengths)[:-1]] if lengths.size else np.zeros(0, np.int64)
    keys, rows, starts, sizes = [], [], [], []
    for n in WORDS:
        live = np.flatnonzero(lengths > n)
        keys.append(roll(tokens.hash, start[live], n))
        rows.append(live.astype(np.int32))
        starts.append(start[live])
        sizes.append(np.full(live.size, n, np.int64))
    return by_key(
        "opening",
        np.concatenate(keys),
        np.concatenate(rows),
        np.concatenate(starts),
        np.concatenate(sizes),
        tokens,
        support,
        "opens with",
    )
