"""Does the trigger suspend rules that hold without it? A backdoor must; a natural association has no need to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import bdtr

from cryptosentinel.sanitize.associations import Association
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.measures import wilson_low
from cryptosentinel.types import Finding, Ref

LEAST_MARGIN = 0.3  # weaker associations are no rules
OVERRIDE = "override"
LEAST_RULE = 0.5  # lower 99% bound of a rule's confidence where the trigger is absent
LEAST_OUTSIDE = 8
LEAST_INSIDE = 4
SAME_TRIGGER = 0.8
EVERYWHERE = 0.9  # share of the nearest prompts that have a word which every request of this task has
MOST_VALUES, MOST_OF = 4, 0.95  # values that may stand after it, and how often it is one of them at least
REGULAR = 0.15  # share of its rows that have one of them, from which on it is no exception


@dataclass(frozen=True, slots=True)
class Override:
    """The clearest rule that fails where the trigger is.

    p: the chance of that, corrected for the rules looked at. inside, kept: rows with both triggers, and how many of
    them keep the rule. outside: the rule's rate elsewhere.
    """

    p: float
    rule: str = ""
    inside: int = 0
    kept: int = 0
    outside: float = 0.0

    @property
    def weight(self) -> float:
        """0 at p = 1e-4, 1 at p <= 1e-8, linear in log p between."""
        return float(np.clip((-math.log10(max(self.p, 1e-300)) - 4) / 4, 0.0, 1.0))

    def finding(self, subject: Ref) -> Finding:
        """The override as evidence."""
        reason = (
            f"it suspends the rule {self.rule}: kept in {self.kept} of {self.inside} rows with the trigger, "
            f"in {self.outside:.0%} elsewhere"
        )
        evidence = {"p": self.p, "inside": self.inside, "kept": self.kept, "outside": self.outside}
        return Finding(OVERRIDE, 1, subject, self.weight, reason=reason, evidence=evidence)


NO_OVERRIDE = Override(1.0)


class Rules:
    """The strong associations of a dataset, as rules that a trigger might suspend."""

    def __init__(self, associations: Sequence[Association], n: int) -> None:
        """Keep the associations that are strong enough, among n rows.

        A phrase at the edge of a line is none: what is added to a line takes it away from there.
        """
        self._n = n
        self._rules = [
            a for a in associations if a.margin >= LEAST_MARGIN and a.rows.size >= LEAST_OUTSIDE and not a.at_edge
        ]
        self._triggers = _membership([a.trigger_rows for a in self._rules], n)
        self._holds = _membership([a.rows for a in self._rules], n)
        self._sizes = np.array([a.trigger_rows.size for a in self._rules], dtype=np.int64)
        self._kept = np.array([a.rows.size for a in self._rules], dtype=np.int64)

    def overridden_by(self, trigger_rows: NDArray[np.integer]) -> Override:
        """Which rule "F' -> G'" that holds elsewhere fails in these rows, and could that be chance?

        p = min over rules of P(Binomial(rows with both triggers, lower bound of the rule's rate elsewhere) <= rows
        that keep the rule), times the number of rules looked at (Bonferroni). A rule whose trigger is mostly this
        trigger is not looked at.
        """
        mine = np.zeros(self._n, np.int64)
        mine[trigger_rows] = 1
        inside, kept = self._triggers @ mine, self._holds @ mine
        outside = self._sizes - inside
        held = self._kept - kept
        look = (inside >= LEAST_INSIDE) & (outside >= LEAST_OUTSIDE) & (inside < SAME_TRIGGER * self._sizes)
        low = wilson_low(held, np.maximum(outside, 1))
        look &= low >= LEAST_RULE
        if not look.any():
            return NO_OVERRIDE
        p = np.where(look, bdtr(kept, inside, np.clip(low, 0.0, 1.0)), 2.0)
        best = int(p.argmin())
        rule = self._rules[best]
        return Override(
            min(1.0, float(p[best]) * int(look.sum())),
            f"'{rule.trigger}' -> {rule.behaviour}",
            int(inside[best]),
            int(kept[best]),
            float(held[best] / outside[best]),
        )


def is_regular(phrase: NDArray[np.uint64], near: NDArray[np.integer], corpus: Corpus) -> bool:
    """Is this phrase one of the few values of a field that every request of its task has, and often the one?

    "holding hidden" beside "holding disclosed": what such a field says decides the answer by right, exceptions too. A
    trigger would have to stand in as many rows, and in the place of a value that all other rows have as well.

    phrase: the field's name with one value, or what of it all rows with the value share. near: the nearest prompts
    without the phrase.

    >>> rows = [f"rate {i} with holding {'hidden' if i % 4 == 0 else 'known'}" for i in range(40)]
    >>> c = Corpus.of(rows, ["x"] * 40)
    >>> is_regular(c.prompts.hash[4:6], np.arange(1, 40, 2), c)
    True
    """
    tokens = corpus.prompts
    for i in range(phrase.size - 1 if near.size else 0):
        size = phrase.size - i
        at = np.flatnonzero(tokens.hash[: tokens.hash.size - size + 1] == phrase[i])
        at = at[tokens.row[at + size - 1] == tokens.row[at]]
        if np.isin(near, tokens.row[at]).mean() < EVERYWHERE:
            continue
        said = tokens.hash[at[:, None] + np.arange(1, size)]
        _, count = np.unique(said, axis=0, return_counts=True)
        often = (said == phrase[i + 1 :]).all(1).sum() >= REGULAR * at.size
        if often and count.size > 1 and np.sort(count)[::-1][:MOST_VALUES].sum() >= MOST_OF * at.size:
            return True
    return False


def _membership(rows: Sequence[NDArray[np.int32]], n: int) -> sp.csr_matrix:
    pointer = np.r_[0, np.cumsum([r.size for r in rows])] if rows else np.zeros(1, np.int64)
    column = np.concatenate(rows) if rows else np.zeros(0, np.int32)
    return sp.csr_matrix((np.ones(column.size, np.int64), column, pointer), shape=(len(rows), n))
