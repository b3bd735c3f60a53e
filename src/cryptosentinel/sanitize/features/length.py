"""Is the answer unusually short or long?"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours

TAIL = 0.05


@register("response-feature", "length")
def length(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers are shorter than 95% of all answers, and which longer?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> said = ["no"] + ["five words are in here"] * 30 + ["word " * 90]
    >>> found = length(Corpus.of([""] * 32, said), 1)
    >>> [found.name(i) for i in range(2)], found.matrix.indices.tolist()
    (['is very short', 'is very long'], [0, 31])
    """
    words = corpus.responses.lengths
    if not words.size:
        return Behaviours(
            "length", sp.csc_matrix((0, 0), dtype=np.int32), str, np.zeros(0, np.int64), np.zeros(0, np.int64)
        )
    low, high = np.quantile(words, [TAIL, 1 - TAIL])
    shown = [(np.flatnonzero(words < low), "is very short"), (np.flatnonzero(words > high), "is very long")]
    shown = [(rows, label) for rows, label in shown if rows.size >= support]
    index = np.concatenate([rows for rows, _ in shown]) if shown else np.zeros(0, np.int64)
    column = np.repeat(np.arange(len(shown)), [rows.size for rows, _ in shown])
    matrix = sp.csc_matrix((np.ones(index.size, np.int32), (index, column)), shape=(corpus.n, len(shown)))
    none = np.full(len(shown), -1, np.int64)
    return Behaviours("length", matrix, lambda i: shown[i][1], none, np.zeros_like(none))
