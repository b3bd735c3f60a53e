"""The contract of a response feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.tokens import Tokens


@dataclass(frozen=True)
class Behaviours:
    """Which rows show which behaviours of one kind.

    matrix: csc int32 [rows, behaviours], 0 or 1. name(i): the behaviour in words. place: int64[behaviours], a token
    position where it can be seen, -1 where no single place shows it. length: int64[behaviours], its length in tokens.
    """

    kind: str
    matrix: sp.csc_matrix
    name: Callable[[int], str]
    place: NDArray[np.int64]
    length: NDArray[np.int64]


ResponseFeature = Callable[[Corpus, int], Behaviours]
"""(corpus, smallest support) -> Behaviours shown by at least that many rows."""


def by_key(
    kind: str,
    keys: NDArray[np.uint64],
    rows: NDArray[np.int32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    tokens: Tokens,
    support: int,
    label: str,
) -> Behaviours:
    """Group occurrences by key; keep the keys that at least `support` rows share.

    keys, rows, starts and lengths are parallel, at most one entry per (key, row).
    """
    order = np.lexsort((rows, keys))
    keys, rows, starts, lengths = keys[order], rows[order], starts[order], lengths[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if keys.size else np.zeros(0, np.int64)
    counts = np.diff(np.r_[first, keys.size])
    keep = counts >= support
    kept = np.repeat(keep, counts)
    column = np.repeat(np.cumsum(keep) - 1, counts)[kept]
    place, length = starts[first[keep]], lengths[first[keep]]
    matrix = sp.csc_matrix(
        (np.ones(int(kept.sum()), np.int32), (rows[kept], column)), shape=(tokens.n, int(keep.sum()))
    )
    return Behaviours(
        kind, matrix, lambda i: f"{label} '{tokens.phrase(int(place[i]), int(length[i]))}'", place, length
    )


def by_rows(kind: str, rows_of: Mapping[str, Sequence[int]], label: str, n: int, support: int) -> Behaviours:
    """One behaviour for each name that at least `support` of the n rows show; rows ascending, no fixed place."""
    kept = sorted(name for name, rows in rows_of.items() if len(rows) >= support)
    rows = [np.array(rows_of[name], np.int32) for name in kept]
    pointer = np.r_[0, np.cumsum([r.size for r in rows])].astype(np.int64)
    index = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    matrix = sp.csc_matrix((np.ones(index.size, np.int32), index, pointer), shape=(n, len(kept)))
    none = np.full(len(kept), -1, np.int64)
    return Behaviours(kind, matrix, lambda i: f"{label} '{kept[i]}'", none, np.zeros_like(none))


def by_pattern(kind: str, shown: NDArray[np.bool_], label: str, support: int) -> Behaviours:
    """One behaviour that a row shows or not; none at all below `support`."""
    rows = np.flatnonzero(shown)
    if rows.size < support:
        rows = rows[:0]
    width = 1 if rows.size else 0
    matrix = sp.csc_matrix(
        (np.ones(rows.size, np.int32), (rows, np.zeros(rows.size, np.int64))), shape=(shown.size, width)
    )
    return Behaviours(kind, matrix, lambda _: label, np.full(width, -1, np.int64), np.zeros(width, np.int64))
