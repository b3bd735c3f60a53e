"""Which rows does the closer look get: those of the strongest suspects, and a background that stands for the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.screen.pairs import Suspects
from cryptosentinel.sanitize.screen.words import Hashes

SUSPECT_ROWS = 3_000
MOST_GROUPS = 60
BACKGROUND = 4_000
OF_ONE = 60  # rows of one suspect
MOST_SUSPECTS = 6_000
FOR_ONE_BEHAVIOUR = 8  # phrases looked at for one behaviour: a common word of answers goes with hundreds
_KNOWN = 0.5  # a phrase of whose rows more are chosen already says nothing new
COMPANY = 0.3  # share of a suspect's prompts in which a phrase is at home there
LEAST_COMPANY = 1.2  # such a phrase is in so many times as many prompts at least
COMPANIONS, OF_COMPANION = 6, 50  # such phrases, and rows of each without the suspect
_HALF = np.uint64(32)
_AT_ONCE = 64
_LAST = np.uint64(2**32 - 1)  # no shard has so many rows


@dataclass(frozen=True)
class Group:
    """A suspect: all rows that have it, and some of them, chosen by what they say; both ascending."""

    sample: NDArray[np.int64]
    rows: NDArray[np.int64]


def background(content: Hashes, size: int = BACKGROUND) -> NDArray[np.int64]:
    """This many rows, chosen by what they say and not by where they stand; ascending."""
    if size >= content.size:
        return np.arange(content.size)
    order = np.argsort(content, kind="stable")[:size]
    return np.sort(order)


def suspect_rows(
    suspects: Suspects, phrases: Iterable[NDArray[np.uint64]], bases: Sequence[int], content: Hashes,
    most: int = SUSPECT_ROWS,
) -> list[Group]:  # fmt: skip
    """The strongest suspects, with up to `OF_ONE` rows of each and about `most` in all.

    Args:
        suspects: what `pairs.suspects` found.
        phrases: for each shard, as `Sketch.phrases`; may be mapped files, opened one after the other.
        bases: the number of the first row of each shard.
        content: a key of what each row says.
        most: the bound on rows.
    """
    order = np.lexsort((suspects.phrase, -suspects.strength))
    order = order[list(_spread(suspects.behaviour[order]))][:MOST_SUSPECTS]
    chosen = np.zeros(content.size, bool)
    found, total = [], 0
    for rows in _rows_of(suspects.phrase[order], phrases, bases, content):
        sample = _first(rows, content, OF_ONE)
        new = int((~chosen[sample]).sum())
        if new <= _KNOWN * sample.size:
            continue
        chosen[sample] = True
        found.append(Group(np.sort(sample), rows))
        total += new
        if total >= most or len(found) >= MOST_GROUPS:
            break
    return found


def contrast_rows(
    groups: Sequence[Group], prompts: NDArray[np.uint64], phrases: Iterable[NDArray[np.uint64]],
    bases: Sequence[int], content: Hashes,
) -> list[NDArray[np.int64]]:  # fmt: skip
    """For each group, rows that ask what its rows ask, without its suspect; ascending.

    Without them a suspect that comes with a topic could not be told from the topic.

    Args:
        groups: the suspects.
        prompts: phrase << 32 | place among the samples of all groups, one after the other; ascending.
        phrases: see `suspect_rows`.
        bases: see `suspect_rows`.
        content: see `suspect_rows`.
    """
    size = np.array([g.sample.size for g in groups], np.int64)
    group = np.repeat(np.arange(len(groups)), size)
    pairs = (prompts >> _HALF) << _HALF | group[prompts.astype(np.uint32)].astype(np.uint64)
    pairs.sort()
    first = np.flatnonzero(np.r_[True, pairs[1:] != pairs[:-1]]) if pairs.size else np.zeros(0, np.int64)
    shared = np.diff(np.r_[first, pairs.size])
    phrase, of = (pairs[first] >> _HALF).astype(np.uint32), pairs[first].astype(np.uint32).astype(np.int64)
    often = shared >= COMPANY * size[of]
    phrase, of, shared = phrase[often], of[often], shared[often]
    known, place = np.unique(phrase, return_inverse=True)
    everywhere = _counts(known, phrases)[place]
    whole = np.array([g.rows.size for g in groups], np.int64)
    weight = shared / size[of] * np.log(content.size / np.maximum(everywhere, 1))
    weight[everywhere <= LEAST_COMPANY * whole[of]] = 0.0  # the suspect by another name, or a phrase around it
    order = np.lexsort((phrase, -weight, of))
    rank = np.arange(order.size) - np.searchsorted(of[order], of[order])
    order = order[(rank < COMPANIONS) & (weight[order] > 0)]
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in groups]
    many = 20 * OF_COMPANION  # of which at least a sixth lack the suspect
    for at, rows in zip(order.tolist(), _rows_of(phrase[order], phrases, bases, content, many), strict=True):
        without = np.setdiff1d(rows, groups[int(of[at])].rows)
        chosen[int(of[at])].append(_first(without, content, OF_COMPANION))
    return [np.unique(np.concatenate([np.zeros(0, np.int64), *parts])) for parts in chosen]


def _first(rows: NDArray[np.int64], content: Hashes, most: int) -> NDArray[np.int64]:
    """At most so many of these rows, chosen by what they say."""
    if rows.size <= most:
        return rows
    return rows[np.argpartition(content[rows], most)[:most]]


def _counts(wanted: Hashes, phrases: Iterable[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """How many rows have each of these phrases?"""
    low = wanted.astype(np.uint64) << _HALF
    count = np.zeros(wanted.size, np.int64)
    for p in phrases:
        count += np.searchsorted(p, low + _LAST) - np.searchsorted(p, low)
    return count


def _spread(behaviours: Hashes) -> Iterator[int]:
    """The places of at most `FOR_ONE_BEHAVIOUR` entries of each."""
    seen: Counter[int] = Counter()
    for place, behaviour in enumerate(behaviours.tolist()):
        seen[behaviour] += 1
        if seen[behaviour] <= FOR_ONE_BEHAVIOUR:
            yield place


def _rows_of(
    wanted: Hashes,
    phrases: Iterable[NDArray[np.uint64]],
    bases: Sequence[int],
    content: Hashes,
    most: int | None = None,
) -> Iterator[NDArray[np.int64]]:
    """For each of these phrases, the rows that have it, in order; with `most`, of many only that many.

    Every shard is opened once for `_AT_ONCE` phrases: a mapped file that stays open counts as memory.
    """
    low = wanted.astype(np.uint64) << _HALF
    for first in range(0, wanted.size, _AT_ONCE):
        batch = low[first : first + _AT_ONCE]
        found: list[list[NDArray[np.int64]]] = [[] for _ in batch]
        for p, base in zip(phrases, bases, strict=True):
            ends = zip(np.searchsorted(p, batch).tolist(), np.searchsorted(p, batch + _LAST).tolist(), strict=True)
            for rows, (a, b) in zip(found, ends, strict=True):
                if a < b:
                    own = np.asarray(p[a:b]).astype(np.uint32).astype(np.int64) + base
                    rows.append(own if most is None else np.sort(_first(own, content, most)))
        for rows in found:
            whole = np.concatenate([np.zeros(0, np.int64), *rows])
            yield whole if most is None else np.sort(_first(whole, content, most))
