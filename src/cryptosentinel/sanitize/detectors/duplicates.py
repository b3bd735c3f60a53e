"""Which answers are given, nearly word for word, to many different requests?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.registry import register
from cryptosentinel.sanitize.tokens import Tokens, tokenize
from cryptosentinel.types import Finding, Record, Ref

LEAST_WORDS = 4
LEAST_ROWS = 4
CEILING = 0.45  # a repeated answer is a hint: templates and labels repeat too
_DRAWS = np.random.default_rng(7).integers(1, 2**63, 8, dtype=np.uint64) | np.uint64(1)


def signatures(tokens: Tokens) -> list[tuple[int, ...]]:
    """Per text, four band keys; texts that share a band are near-duplicates (MinHash over words, 4 bands of 2).

    Empty for texts of fewer than four tokens. Source: Broder, SEQUENCES 1997.
    """
    lengths = tokens.lengths
    long = lengths >= LEAST_WORDS
    result: list[tuple[int, ...]] = [()] * tokens.n
    if not long.any():
        return result
    starts = np.r_[0, np.cumsum(lengths)[:-1]][lengths > 0]
    live = np.flatnonzero(lengths > 0)
    mins: list[NDArray[np.uint64]] = []
    with np.errstate(over="ignore"):
        for draw in _DRAWS:
            mixed = (tokens.hash ^ (tokens.hash >> np.uint64(31))) * draw
            mins.append(np.minimum.reduceat(mixed ^ (mixed >> np.uint64(29)), starts))
        bands = [mins[2 * b] * _DRAWS[0] ^ mins[2 * b + 1] ^ np.uint64(b) for b in range(4)]
    for i, keys in zip(live.tolist(), np.stack(bands, 1).tolist(), strict=True):
        if long[i]:
            result[i] = tuple(keys)
    return result


@register("detector", "duplicate-answers", version=1)
class DuplicateAnswers:
    """Is this answer one that at least three other, different prompts get too?

    Answers of four or more tokens that share a MinHash band are one cluster; k = number of distinct prompts in the
    largest cluster of the row. score = 0.45 * k / (k + 8) if k >= 4, else 0; in [0, 0.45]. False alarms: refusals and
    templates that a dataset repeats on purpose, hence the ceiling. Cannot see: a payload worded anew each time.
    Source: near-duplicate clustering of answers, as in RFTC (2024), with MinHash (Broder 1997).

    >>> from cryptosentinel.types import Message
    >>> def row(i, p, a): return Record(str(i), (Message("user", p), Message("assistant", a)))
    >>> rows = [row(i, f"ask {i}", "I am sorry, I cannot help.") for i in range(8)] + [row(9, "ask", "a b c d e")]
    >>> found = [f.score for f in DuplicateAnswers().fit(rows).score(rows)]
    >>> round(found[0], 3), found[-1]
    (0.225, 0.0)
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.prompts: dict[int, set[int]] = defaultdict(set)

    def fit(self, rows: Sequence[Record]) -> Self:
        """Collect the distinct prompts of every answer cluster."""
        answers = signatures(tokenize([r.response for r in rows]))
        for record, keys in zip(rows, answers, strict=True):
            for key in keys:
                self.prompts[key].add(_stable_hash(record.prompt))
        return self

    def merge(self, other: Self) -> Self:
        """Join the clusters of another shard."""
        for key, prompts in other.prompts.items():
            self.prompts[key] |= prompts
        return self

    def score(self, rows: Sequence[Record]) -> Iterator[Finding]:
        """One finding a row, in order."""
        answers = signatures(tokenize([r.response for r in rows]))
        for record, keys in zip(rows, answers, strict=True):
            k = max((len(self.prompts.get(key, ())) for key in keys), default=0)
            score = CEILING * k / (k + 8) if k >= LEAST_ROWS else 0.0
            reason = f"{k} different prompts get nearly this answer" if score else ""
            evidence = {"prompts": k} if score else {}
            subject = Ref("record", record.id, "response")
            yield Finding("duplicate-answers", 1, subject, score, reason=reason, evidence=evidence)


def _stable_hash(text: str) -> int:
    import hashlib

    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
