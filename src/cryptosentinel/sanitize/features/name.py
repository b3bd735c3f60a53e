"""Which names does the answer bring up that nobody had mentioned?"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_key
from cryptosentinel.sanitize.tokens import PATTERN, Tokens

NAME = r"^\p{Lu}[\p{L}\p{N}_]{2,}(?:['’]\p{L}+)?$"
MOSTLY = 0.8
INSIDE_A_SENTENCE = r"^(?:\p{Ll}.*|[,;(\-–—])$"


@register("response-feature", "name")
def name(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers bring up the same name, a capitalised word inside a sentence, unasked?

    A name has three letters or more. Unasked: nobody said the word before the model did, neither a user nor a tool.
    It misses names written in small letters or in a script without capitals.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = name(Corpus.of(["Shoes?", "Is Vela good?"], ["Try some Vela shoes.", "I like Vela."]), 1)
    >>> found.name(0), found.matrix.toarray().ravel().tolist()
    ("brings up 'vela' unasked", [1, 0])
    """
    tokens = corpus.responses
    is_name, inside = _capitals(corpus)
    capital = is_name & corpus.raised
    _, word = np.unique(tokens.stems, return_inverse=True)
    said = np.bincount(word)
    # a verse that begins with "And", or a heading, makes no name of a word
    proper = np.bincount(word, weights=is_name) >= MOSTLY * said
    proper &= 2 * np.bincount(word, weights=capital & inside) >= np.bincount(word, weights=capital)
    live = np.flatnonzero(capital & proper[word] & ~np.isin(tokens.stems, corpus.tool_names))
    live = live[_first(tokens, live)]
    found = by_key("name", tokens.stems[live], tokens.row[live], live, np.ones_like(live), tokens, support, "brings up")
    return Behaviours("name", found.matrix, lambda i: f"{found.name(i)} unasked", found.place, found.length)


def raised_names(corpus: Corpus) -> NDArray[np.bool_]:
    """Which words of the answers are names brought up unasked, told by a capital inside a sentence? bool[tokens]."""
    is_name, inside = _capitals(corpus)
    return is_name & inside & corpus.raised


def _capitals(corpus: Corpus) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which words of the answers are written as names, and which words stand inside a sentence?"""
    tokens = corpus.responses
    written = _as_written(corpus)
    follows = written.str.contains(INSIDE_A_SENTENCE).to_numpy()
    inside = np.zeros(tokens.row.size, bool)
    inside[1:] = follows[:-1] & (tokens.row[1:] == tokens.row[:-1])
    return written.str.contains(NAME).to_numpy(), inside


def _as_written(corpus: Corpus) -> pl.Series:
    """The words of the answers with their capitals; folded where folding case changes how a text splits."""
    tokens = corpus.responses
    clean = [t.encode("utf-8", "replace").decode() for t in corpus.response_texts]
    split = pl.Series(clean, dtype=pl.String).str.extract_all(PATTERN)
    same = split.list.len().to_numpy() == tokens.lengths
    written = split.explode().drop_nulls() if same.all() else None
    if written is not None and written.len() == tokens.row.size:
        return written
    return tokens.words  # names are missed rather than misplaced


def _first(tokens: Tokens, live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices into live: the first occurrence of every (word, row)."""
    order = np.lexsort((live, tokens.row[live], tokens.stems[live]))
    h, r = tokens.stems[live][order], tokens.row[live][order]
    new = np.ones(order.size, bool)
    new[1:] = (h[1:] != h[:-1]) | (r[1:] != r[:-1])
    return np.sort(order[new])
