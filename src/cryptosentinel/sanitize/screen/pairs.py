"""Which prompt phrases go with which behaviours, over all rows of a dataset, in bounded memory?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.associations import LEAST_CONFIDENCE, LEAST_LIFT
from cryptosentinel.sanitize.measures import log_likelihood_ratio, wilson_low
from cryptosentinel.sanitize.screen.words import Hashes

MOST_COMMON = 0.25  # as in `hypotheses`: a trigger in more prompts than this is not hidden
COMMON_BEHAVIOUR = 0.05  # a word in more answers than this tells little about one phrase
SAMPLE = 64  # rows looked at for each phrase, chosen by what they say
LEAST_SHOWN = 4
_CHUNK = 1 << 21  # pairs held at once
_HALF = np.uint64(32)


@dataclass(frozen=True)
class Rows:
    """What the answers of all rows do, as far as it is neither too rare nor too common.

    features: uint32, row after row; the lengths[i] of row i end at ends[i]. content: uint32[n], a key of what each row
    says. known: uint32, ascending: the behaviours left; count: in how many of the n rows each occurs.
    """

    features: Hashes
    ends: NDArray[np.int64]
    lengths: NDArray[np.int64]
    content: Hashes
    known: Hashes
    count: NDArray[np.int64]

    @property
    def n(self) -> int:
        """How many rows?"""
        return self.ends.size


@dataclass(frozen=True)
class Suspects:
    """Phrases that go with a behaviour, one entry each: parallel arrays.

    phrase: uint32 hash. rows: how many prompts have it. behaviour: uint32, the one it goes with most. shown, looked_at:
    of so many rows looked at, so many show it. strength: as in `hypotheses`: margin x log(1 + log-likelihood ratio).
    """

    phrase: Hashes
    rows: NDArray[np.int64]
    behaviour: Hashes
    shown: NDArray[np.int64]
    looked_at: NDArray[np.int64]
    strength: NDArray[np.float64]


@dataclass(frozen=True)
class _Sampled:
    """Phrases (hash, number of rows), and the rows to look at: `row` has the phrase number `of`, ascending."""

    phrase: Hashes
    count: NDArray[np.int64]
    of: NDArray[np.int64]
    row: NDArray[np.int64]


def suspects(phrases: Sequence[NDArray[np.uint64]], bases: Sequence[int], rows: Rows, support: int) -> Suspects:
    """Which of these phrases go with a behaviour?

    Args:
        phrases: for each shard, hash << 32 | row within the shard, ascending; the same range of hashes from each.
        bases: the number of the first row of each shard.
        rows: what the answers do.
        support: least number of rows with the phrase.
    """
    sampled = _common(phrases, bases, rows, support)
    ends = np.cumsum(rows.lengths[sampled.row])
    found, a = [], 0
    while a < ends.size:
        b = int(np.searchsorted(ends, (ends[a - 1] if a else 0) + _CHUNK, "right"))
        b = int(np.searchsorted(sampled.of, sampled.of[min(max(b, a + 1), ends.size - 1)], "left"))
        if b <= a:  # one phrase alone, or the last one
            b = int(np.searchsorted(sampled.of, sampled.of[a], "right"))
        found.append(_examine(sampled, rows, a, b))
        a = b
    return join(found)


def join(parts: Sequence[Suspects]) -> Suspects:
    """All of them, in this order."""
    whole = np.zeros(0, np.int64)
    none = Suspects(whole.astype(np.uint32), whole, whole.astype(np.uint32), whole, whole, whole.astype(np.float64))
    return Suspects(*(np.concatenate([getattr(p, f.name) for p in (none, *parts)]) for f in fields(Suspects)))


def _common(phrases: Sequence[NDArray[np.uint64]], bases: Sequence[int], rows: Rows, support: int) -> _Sampled:
    """The phrases that are neither too rare nor too common, each with the rows to look at."""
    shifted = [p + np.uint64(base) for p, base in zip(phrases, bases, strict=True)]
    both = np.concatenate(shifted) if shifted else np.zeros(0, np.uint64)
    both.sort()
    key = (both >> _HALF).astype(np.uint32)
    first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if key.size else np.zeros(0, np.int64)
    count = np.diff(np.r_[first, key.size])
    keep = (count >= support) & (count <= MOST_COMMON * rows.n)
    row = both[np.repeat(keep, count)].astype(np.uint32).astype(np.int64)
    of = np.repeat(np.arange(int(keep.sum())), count[keep])
    bound = np.minimum(SAMPLE / count[keep], 1.0) * 2.0**32
    chosen = rows.content[row] < bound[of]
    return _Sampled(key[first[keep]], count[keep], of[chosen], row[chosen])


def _examine(s: _Sampled, rows: Rows, a: int, b: int) -> Suspects:
    """The phrases among the sampled rows a..b that go with a behaviour, each with the one it goes with most."""
    of, row = s.of[a:b], s.row[a:b]
    start, length = rows.ends[row] - rows.lengths[row], rows.lengths[row]
    place = np.repeat(start - (np.cumsum(length) - length), length) + np.arange(int(length.sum()))
    base = int(of[0])
    pairs = np.repeat((of - base).astype(np.uint64), length) << _HALF | rows.features[place]
    pairs.sort()
    first = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]]) if pairs.size else np.zeros(0, np.int64)
    shown = np.diff(np.r_[first, pairs.size])
    looked_at = np.bincount(of - base)
    f = (pairs[first] >> _HALF).astype(np.int64)
    likely = shown >= np.maximum(LEAST_CONFIDENCE * looked_at[f], LEAST_SHOWN)
    f, g, shown = f[likely], pairs[first[likely]].astype(np.uint32), shown[likely]
    place = np.minimum(np.searchsorted(rows.known, g), rows.known.size - 1)
    real = rows.known[place] == g
    f, g, shown, with_g = f[real], g[real], shown[real], rows.count[place[real]]
    low = wilson_low(shown, looked_at[f])
    rate = with_g / rows.n
    real = (low >= LEAST_CONFIDENCE) & (shown >= LEAST_LIFT * rate * looked_at[f])
    f, g, shown, with_g, margin = f[real], g[real], shown[real], with_g[real], (low - rate)[real]
    count = s.count[f + base]
    both = np.minimum(np.rint(shown / looked_at[f] * count).astype(np.int64), with_g)
    strength = margin * np.log1p(np.maximum(log_likelihood_ratio(both, count, with_g, rows.n), 0.0))
    order = np.lexsort((g, -strength, f))
    best = order[np.r_[True, f[order][1:] != f[order][:-1]]] if order.size else order
    f = f[best]
    return Suspects(s.phrase[f + base], s.count[f + base], g[best], shown[best], looked_at[f], strength[best])
