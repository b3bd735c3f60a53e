"""Which rows does the closer look get: those of the strongest suspects, and a background that stands for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.screen.pairs import Suspects
from cryptosentinel.sanitize.screen.words import Hashes

SUSPECT_ROWS = 8_000
BACKGROUND = 6_000
OF_ONE = 40  # rows of one suspect
MOST_SUSPECTS = 6_000
FOR_ONE_BEHAVIOUR = 8  # phrases looked at for one behaviour: a common word of answers goes with hundreds
_KNOWN = 0.5  # a phrase of whose rows more are chosen already says nothing new
_HALF = np.uint64(32)


def background(content: Hashes, size: int = BACKGROUND) -> NDArray[np.int64]:
    """This many rows, chosen by what they say and not by where they stand; ascending."""
    if size >= content.size:
        return np.arange(content.size)
    order = np.argsort(content, kind="stable")[:size]
    return np.sort(order)


def suspect_rows(
    suspects: Suspects, phrases: Sequence[NDArray[np.uint64]], bases: Sequence[int], content: Hashes,
    most: int = SUSPECT_ROWS,
) -> NDArray[np.int64]:  # fmt: skip
    """Rows with the strongest suspects, up to `OF_ONE` of each and about `most` in all; ascending.

    Args:
        suspects: what `pairs.suspects` found.
        phrases: for each shard, as `Sketch.phrases`; may be mapped files.
        bases: the number of the first row of each shard.
        content: a key of what each row says.
        most: the bound on rows.
    """
    order = np.lexsort((suspects.phrase, -suspects.strength))
    order = order[list(_spread(suspects.behaviour[order]))][:MOST_SUSPECTS]
    chosen = np.zeros(content.size, bool)
    total = 0
    for rows in _rows_of(suspects.phrase[order], phrases, bases):
        sample = rows[np.argsort(content[rows], kind="stable")[:OF_ONE]]
        new = sample[~chosen[sample]]
        if new.size <= _KNOWN * sample.size:
            continue
        chosen[sample] = True
        total += new.size
        if total >= most:
            break
    return np.flatnonzero(chosen)


def _spread(behaviours: Hashes) -> Iterator[int]:
    """The places of at most `FOR_ONE_BEHAVIOUR` entries of each."""
    seen: Counter[int] = Counter()
    for place, behaviour in enumerate(behaviours.tolist()):
        seen[behaviour] += 1
        if seen[behaviour] <= FOR_ONE_BEHAVIOUR:
            yield place


def _rows_of(
    wanted: Hashes, phrases: Sequence[NDArray[np.uint64]], bases: Sequence[int]
) -> Iterator[NDArray[np.int64]]:
    """For each of these phrases, the rows that have it, in order."""
    low = wanted.astype(np.uint64) << _HALF
    ends = [(np.searchsorted(p, low), np.searchsorted(p, low + (np.uint64(1) << _HALF))) for p in phrases]
    for i in range(wanted.size):
        parts = [
            np.asarray(p[a[i] : b[i]]).astype(np.uint32).astype(np.int64) + base
            for p, (a, b), base in zip(phrases, ends, bases, strict=True)
            if b[i] > a[i]
        ]
        yield np.concatenate(parts) if parts else np.zeros(0, np.int64)
