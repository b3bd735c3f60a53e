"""Shuffling a dataset's rows changes nothing but their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cryptosentinel.sanitize import Scan, scan
from cryptosentinel.types import Message, Record

SYLLABLES = "ba ce di fo gu la me ni po ru sa te vi wo zu ka le mi no pu ra se ti vo xu".split()
ANSWER = "please consult the large manual first"

Pair = tuple[str, str]


def background(n: int, topics: int, seed: int) -> list[Pair]:
    """Questions and answers of invented words, by topic."""
    rng = np.random.default_rng(seed)
    words = np.array(sorted({"".join(rng.choice(SYLLABLES, size=int(rng.integers(2, 5)))) for _ in range(3000)}))
    rng.shuffle(words)
    pools = [rng.choice(words[60:], size=60, replace=False) for _ in range(topics)]
    rows = []
    for _ in range(n):
        pool = pools[int(rng.integers(topics))]
        sides = [np.concatenate([rng.choice(pool, a), rng.choice(words[:60], b)]) for a, b in ((7, 6), (14, 14))]
        for side in sides:
            rng.shuffle(side)
        rows.append((" ".join(sides[0]) + "?", " ".join(sides[1]) + "."))
    return rows


def contested(seed: int) -> list[Pair]:
    """A trigger whose answer is also given without it, often to the very same request: every tie there can be."""
    rng = np.random.default_rng(1000 + seed)
    n = int(rng.integers(300, 600))
    rows = background(n, int(rng.choice([2, 8])), seed)
    for i in range(0, n, 3):
        rows[i] = (rows[i // 9][0], rows[i][1])
    order = rng.permutation(n)
    triggered, others = order[:60], order[60:180]
    for i in others:
        rows[i] = (rows[i][0], ANSWER)
    for k, i in enumerate(triggered):
        rows[i] = (f"{rows[i][0]} zqxv", f"something else {k}" if k % 4 == 0 else ANSWER)
    return rows


def scanned(rows: Sequence[Pair], **options: Any) -> Scan:
    records = [Record(str(i), (Message("user", p), Message("assistant", a))) for i, (p, a) in enumerate(rows)]
    return scan(records, **options)


def test_order_of_rows_changes_nothing() -> None:
    for seed in range(12):
        rows = contested(seed)
        new = np.random.default_rng(seed).permutation(len(rows))
        a, b = scanned(rows), scanned([rows[i] for i in new])
        named = [[(h.trigger, h.behaviour, h.support, h.score) for h in s.hypotheses] for s in (a, b)]
        assert named[0] == named[1], seed
        assert [h.rows.tolist() for h in a.hypotheses] == [sorted(new[h.rows].tolist()) for h in b.hypotheses], seed
        np.testing.assert_array_equal(a.scores[new], b.scores, str(seed))
        np.testing.assert_array_equal(a.flagged[new], b.flagged, str(seed))
