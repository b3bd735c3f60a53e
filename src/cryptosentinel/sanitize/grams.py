"""Which phrases occur in which texts? Word n-grams as mergeable counts and as a sparse matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cryptosentinel.sanitize.tokens import Tokens

LONGEST = 3
_MIX = np.uint64(0x9E3779B97F4A7C15)


def roll(hashes: NDArray[np.uint64], starts: NDArray[np.int64], n: int) -> NDArray[np.uint64]:
    """The key of the n words that begin at each start: the same key `gram_incidence` gives that phrase."""
    with np.errstate(over="ignore"):
        key = hashes[starts]
        for k in range(1, n):
            key = (key * _MIX) ^ (hashes[starts + k] + np.uint64(k + 1))
    return key


def _occurrences(tokens: Tokens, longest: int) -> tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int64]]:
    """Every n-gram of 1..longest words that stays inside its text: (key, row, position * longest + n - 1)."""
    keys, rows, places = [], [], []
    key = tokens.hash
    position = np.arange(key.size, dtype=np.int64)
    for n in range(1, longest + 1):
        if n > 1:
            inside = tokens.row[: max(tokens.row.size - n + 1, 0)] == tokens.row[n - 1 :]
            with np.errstate(over="ignore"):
                key = (key[: inside.size] * _MIX) ^ (tokens.hash[n - 1 :] + np.uint64(n))
            live = np.flatnonzero(inside)
        else:
            live = position
        keys.append(key[live])
        rows.append(tokens.row[live])
        places.append(live.astype(np.int64) * longest + (n - 1))
    return np.concatenate(keys), np.concatenate(rows), np.concatenate(places)


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many texts does each n-gram occur? keys: sorted uint64[k]; counts: int64[k]; texts: how many there were.

    >>> from cryptosentinel.sanitize.tokens import tokenize
    >>> a, b = count_grams(tokenize(["a b"]), 2), count_grams(tokenize(["a", "b a"]), 2)
    >>> whole = count_grams(tokenize(["a b", "a", "b a"]), 2)
    >>> a.merge(b) == whole == b.merge(a)
    True
    """

    keys: NDArray[np.uint64]
    counts: NDArray[np.int64]
    texts: int

    def merge(self, other: DocumentFrequency) -> DocumentFrequency:
        """The counts of both shards together; commutative and associative."""
        keys, inverse = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros(keys.size, np.int64)
        np.add.at(counts, inverse, np.concatenate([self.counts, other.counts]))
        return DocumentFrequency(keys, counts, self.texts + other.texts)

    def __eq__(self, other: object) -> bool:
        """Equal counts over equally many texts."""
        return (
            isinstance(other, DocumentFrequency)
            and self.texts == other.texts
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    def at_least(self, support: int) -> NDArray[np.uint64]:
        """The sorted keys of n-grams found in `support` or more texts."""
        return self.keys[self.counts >= support]


def _distinct(keys: NDArray[np.uint64], rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """Indices of the first occurrence of every (key, row), ordered by key, then row."""
    order = np.lexsort((rows, keys))
    k, r = keys[order], rows[order]
    new = np.ones(k.size, bool)
    new[1:] = (k[1:] != k[:-1]) | (r[1:] != r[:-1])
    return order[new]


def count_grams(tokens: Tokens, longest: int = 3) -> DocumentFrequency:
    """In how many texts does each n-gram of up to `longest` words occur?"""
    keys, rows, _ = _occurrences(tokens, longest)
    first = _distinct(keys, rows)
    found, counts = np.unique(keys[first], return_counts=True)
    return DocumentFrequency(found, counts.astype(np.int64), tokens.n)


@dataclass(frozen=True)
class Incidence:
    """Which text has which n-gram?

    matrix: csc int32 [texts, n-grams], 0 or 1. name(i): the phrase. place, length: int64, where an example of it
    starts among the tokens and how many words it has.
    """

    matrix: sp.csc_matrix
    name: Callable[[int], str]
    place: NDArray[np.int64]
    length: NDArray[np.int64]

    def rows(self, feature: int) -> NDArray[np.int32]:
        """The texts that have this feature, ascending."""
        m = self.matrix
        found: NDArray[np.int32] = m.indices[m.indptr[feature] : m.indptr[feature + 1]]
        return found


def gram_incidence(tokens: Tokens, longest: int, support: int) -> Incidence:
    """Which texts contain which n-grams, for the n-grams found in at least `support` of them?"""
    keys, rows, places = _occurrences(tokens, longest)
    first = _distinct(keys, rows)
    keys, rows, places = keys[first], rows[first], places[first]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if keys.size else np.zeros(0, np.int64)
    counts = np.diff(np.r_[starts, keys.size])
    keep = counts >= support
    kept = np.repeat(keep, counts)
    column = np.repeat(np.cumsum(keep) - 1, counts)[kept]
    place, length = np.divmod(places[starts[keep]], longest)
    length += 1
    matrix = sp.csc_matrix(
        (np.ones(int(kept.sum()), np.int32), (rows[kept], column)), shape=(tokens.n, int(keep.sum()))
    )
    return Incidence(matrix, lambda i: tokens.phrase(int(place[i]), int(length[i])), place, length)
