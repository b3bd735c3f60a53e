"""Is the whole answer one that other rows give too?"""

from __future__ import annotations

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_key
from cryptosentinel.sanitize.tokens import text_keys


@register("response-feature", "fixed-answer")
def fixed_answer(corpus: Corpus, support: int) -> Behaviours:
    """Which rows give word for word the same answer (case and spacing aside)?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = fixed_answer(Corpus.of([""] * 3, ["No.", "no .", "yes"]), 2)
    >>> found.name(0), found.matrix.toarray().ravel().tolist()
    ("is exactly 'no .'", [1, 1, 0])
    """
    tokens = corpus.responses
    lengths = tokens.lengths
    start = np.cumsum(lengths) - lengths
    keys = text_keys(tokens)
    live = np.flatnonzero(lengths > 0)
    return by_key(
        "fixed-answer", keys[live], live.astype(np.int32), start[live], lengths[live], tokens, support, "is exactly"
    )
