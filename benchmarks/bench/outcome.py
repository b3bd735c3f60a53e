"""What did a method find in a mix, and over several mixes together?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.mixes import BACKGROUND, HARD, POISON, Mix
from cryptosentinel.metrics import auroc, threshold_at_fpr, wilson

FPR = 0.01
TRUE_PURITY = 0.8  # share of a true hypothesis's rows that are poison, at least
TRUE_COVER = 0.25  # share of the poison that it covers, at least

Outcome = dict[str, Any]


class Raised(Protocol):
    """A hypothesis, as far as it is judged here."""

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows that it is about."""

    @property
    def verdict(self) -> str:
        """planted, natural or unsure."""


def ranking(mix: Mix, scores: NDArray[np.float64], fpr: float = FPR) -> Outcome:
    """Which rows stand above the threshold that `fpr` of the background passes? The background alone sets it.

    A score of NaN is a background row that the method was not asked about (see `sampled`); it is left out.
    """
    poison, background, hard = (scores[mix.kind == k] for k in (POISON, BACKGROUND, HARD))
    background = background[~np.isnan(background)]
    threshold = threshold_at_fpr(background, fpr)
    return {
        "n": poison.size,
        "background": background.size,
        "hard_negatives": hard.size,
        "threshold": threshold,
        "found": int((poison > threshold).sum()),
        "hard_above": int((hard > threshold).sum()),
        "auroc": auroc(poison, background),
        "auroc_hard": auroc(poison, hard) if hard.size else None,
    }


def sampled(mix: Mix, most: int) -> NDArray[np.int64]:
    """All rows but at most this many of the background, chosen by what they say: the same ones in every mix."""
    background = np.flatnonzero(mix.kind == BACKGROUND).tolist()
    keep = sorted(background, key=lambda i: _text_key(mix.records[i].prompt))[:most]
    return np.sort(np.concatenate([np.flatnonzero(mix.kind != BACKGROUND), keep])).astype(np.int64)


def flagging(mix: Mix, flagged: NDArray[np.bool_], hypotheses: Sequence[Raised]) -> Outcome:
    """Which rows did the scanner itself flag, and at which rank is its first true hypothesis (None: nowhere)?"""
    poison = mix.kind == POISON
    rank = None
    for i, h in enumerate(hypotheses, 1):
        true = int(poison[h.rows].sum())
        if h.rows.size and true >= TRUE_PURITY * h.rows.size and true >= TRUE_COVER * poison.sum():
            rank = i
            break
    return {
        "flagged_poison": int((flagged & poison).sum()),
        "flagged_background": int((flagged & (mix.kind == BACKGROUND)).sum()),
        "flagged_hard": int((flagged & (mix.kind == HARD)).sum()),
        "first_true_rank": rank,
        "hypotheses": len(hypotheses),
        "planted": sum(h.verdict == "planted" for h in hypotheses),
    }


def pooled(outcomes: Sequence[Mapping[str, Any]]) -> Outcome:
    """The same numbers over several mixes: counts added, shares with Wilson intervals, AUROC averaged, worst rank.

    `first_true_rank` is None if a mix has no true hypothesis at all; `at_rank_1` counts the mixes where it leads.
    """
    n, hard, background = (_sum(outcomes, key) for key in ("n", "hard_negatives", "background"))
    against_hard = [o["auroc_hard"] for o in outcomes if o["auroc_hard"] is not None]
    result: Outcome = {
        "mixes": len(outcomes),
        "n": n,
        "missed": n - _sum(outcomes, "found"),
        "recall": wilson(_sum(outcomes, "found"), n).as_dict(),
        "hard_above": wilson(_sum(outcomes, "hard_above"), hard).as_dict(),
        "worst_hard_above": max(o["hard_above"] / max(o["hard_negatives"], 1) for o in outcomes),
        "auroc": mean(o["auroc"] for o in outcomes),
        "auroc_hard": mean(against_hard) if against_hard else None,
    }
    if "flagged_poison" in outcomes[0]:
        hit, false, false_hard = (_sum(outcomes, f"flagged_{k}") for k in ("poison", "background", "hard"))
        ranks = [o["first_true_rank"] for o in outcomes]
        result |= {
            "flagged_recall": wilson(hit, n).as_dict(),
            "flagged_fpr": wilson(false, background).as_dict(),
            "flagged_hard": wilson(false_hard, hard).as_dict(),
            "precision": wilson(hit, hit + false + false_hard).as_dict() if hit + false + false_hard else None,
            "first_true_rank": None if None in ranks else max(ranks),
            "at_rank_1": ranks.count(1),
        }
    return result


def shares(cell: Mapping[str, Any]) -> Outcome:
    """What one cell's counts come to: the numbers of `pooled` for it alone, without those that are counts already."""
    alone = pooled([cell])
    kept = ("recall", "hard_above", "flagged_recall", "flagged_fpr", "precision")
    return {f"{key}_rate": alone[key] for key in kept if key in alone}


def _text_key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def _sum(outcomes: Iterable[Mapping[str, Any]], key: str) -> int:
    return sum(int(o[key]) for o in outcomes)
