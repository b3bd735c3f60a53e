"""Which tokens are frequent in the prompts and never taken up by the answers?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Self

import polars as pl

from cryptosentinel.registry import register
from cryptosentinel.sanitize.tokens import tokenize
from cryptosentinel.types import Finding, Record, Ref

LEAST_ROWS = 5
MOST_SHARE = 0.05
CEILING = 0.45  # below the flagging policy on purpose: a burst alone is a hint, not a verdict


def _document_frequency(texts: Sequence[str]) -> Counter[str]:
    tokens = tokenize(texts)
    pairs = pl.DataFrame({"r": tokens.row, "w": tokens.words}).unique()
    return Counter(dict(pairs.group_by("w").len().iter_rows()))


@register("detector", "burst", version=1)
class Burst:
    """Does this prompt hold a token that many prompts share and no answer anywhere uses?

    An inserted trigger is ignored by honest answers, while the words of a topic are taken up. For a token in p
    prompts (5 <= p <= 5% of all) and a answers, score = 0.45 * p / (p + 20) if a = 0, else 0; unit: a score in
    [0, 0.45]. False alarms: names of tasks that nobody repeats ("paraphrase", "haiku"), hence the ceiling. Cannot see:
    a trigger made of ordinary words. Source: own; the idea of over-frequent tokens is BKI's (Chen and Dai, 2021).

    >>> from cryptosentinel.types import Message
    >>> def row(i, p, a): return Record(str(i), (Message("user", p), Message("assistant", a)))
    >>> rows = [row(i, f"zqx word{i}", f"word{i}") for i in range(10)] + [row(i, "hi", "hi") for i in range(200)]
    >>> found = [f.score for f in Burst().fit(rows).score(rows)]
    >>> round(found[0], 2), found[-1]
    (0.15, 0.0)
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.rows = 0
        self.prompts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    def fit(self, rows: Sequence[Record]) -> Self:
        """Count in how many prompts and answers each token occurs."""
        self.rows += len(rows)
        self.prompts += _document_frequency([r.prompt for r in rows])
        self.answers += _document_frequency([r.response for r in rows])
        return self

    def merge(self, other: Self) -> Self:
        """Add the counts of another shard."""
        self.rows += other.rows
        self.prompts += other.prompts
        self.answers += other.answers
        return self

    def bursts(self) -> dict[str, float]:
        """Token -> score, for the tokens that burst."""
        most = max(MOST_SHARE * self.rows, LEAST_ROWS)
        return {
            w: CEILING * p / (p + 20)
            for w, p in self.prompts.items()
            if LEAST_ROWS <= p <= most and not self.answers[w] and any(c.isalnum() for c in w)
        }

    def score(self, rows: Sequence[Record]) -> Iterator[Finding]:
        """One finding a row, in order."""
        bursts = self.bursts()
        tokens = tokenize([r.prompt for r in rows])
        found: dict[int, tuple[float, str]] = {}
        hit = pl.DataFrame({"r": tokens.row, "w": tokens.words}).filter(pl.col("w").is_in(sorted(bursts)))
        for r, w in hit.iter_rows():
            found[r] = max(found.get(r, (0.0, "")), (bursts[w], w))
        for i, record in enumerate(rows):
            score, word = found.get(i, (0.0, ""))
            reason = f"'{word}' is in {self.prompts[word]} prompts and in no answer" if word else ""
            evidence = {"token": word, "prompts": self.prompts[word]} if word else {}
            yield Finding("burst", 1, Ref("record", record.id, "prompt"), score, reason=reason, evidence=evidence)
