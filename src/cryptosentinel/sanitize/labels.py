"""What would the label be without the trigger? In a classification task the text itself foretells it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.grams import gram_incidence

Floats = NDArray[np.float64]

_Model = tuple[Floats, NDArray[np.bool_], Floats, float, float]

SMOOTHING = 1.0
LEAST_ROWS = 40  # rows that give a repeated answer, below which nothing can be learnt from them
SAMPLE, NEAREST, LEAST_LIKE = 48, 5, 20
BESIDE = 0.8
CHANCE = 2.0  # standard errors of it that agree by chance
TELLING = 3.0  # standard errors by which the texts with a label must differ from those without
LEAST_SHARE = 0.1  # of the other rows that give a repeated answer, what share must give a label
NEWTON_STEPS = 25


class Labels:
    """How likely is each of the data's repeated answers, given the rest of the prompt?

    Naive Bayes on the prompt's words among the rows that give a repeated answer, every row held out of its own
    estimate, its overconfidence taken back by a logistic fit. Where the data is no classification task nothing is
    foretold.
    """

    def __init__(self, corpus: Corpus) -> None:
        """Index the rows that give repeated answers."""
        self._corpus = corpus
        self._rows = np.flatnonzero(corpus.repeated_answers())
        self._words = gram_incidence(corpus.prompts, 1, 3) if self._rows.size >= LEAST_ROWS else None
        self._x: sp.csr_matrix | None = None
        if self._words is not None:
            self._x = self._words.matrix.tocsr()[self._rows].astype(np.float64)
            self._hash = corpus.prompts.hash[self._words.place]
        self._known: dict[bytes, _Model] = {}

    def without(
        self, answer: NDArray[np.uint64], rows: NDArray[np.integer], words: NDArray[np.uint64]
    ) -> tuple[float, float] | None:
        """What does the rest of the text say about this answer in these rows, the trigger's words not looked at?

        (mean probability of the answer, agreement). Agreement is 0 where the texts are as any text of the task, 1
        where they are as those of the task that have this label anyway: "awful" stands in texts that are negative
        without it, a trigger stands anywhere. Where the texts do not tell, the rate of the label in the task. None
        where this is no task with labels: too few rows give repeated answers, few of `rows` are among them, or hardly
        any other row gives another answer, or this one.
        """
        inside = np.flatnonzero(np.isin(self._rows, rows))
        if self._x is None or 2 * inside.size < rows.size:
            return None
        weight, shows, score, slope, offset = self._model(answer)
        beside = _total(self._x[inside]) >= BESIDE * inside.size  # further words of the trigger, or of every request
        drop = np.flatnonzero(np.isin(self._hash, words) | beside)
        elsewhere = np.ones(self._rows.size, bool)
        elsewhere[inside] = False
        like = self._like(rows, words)
        if like.size < LEAST_LIKE:  # every text is as near as any other: all are of the task
            like = np.flatnonzero(elsewhere)
        with_it, without = like[shows[like]], like[~shows[like]]
        if min(with_it.size, without.size) < max(LEAST_SHARE * like.size, 2):
            return None  # given nowhere else, or no other is: no label of a task
        own = expit(slope * (score[inside] - self._x[inside][:, drop].dot(weight[drop])) + offset)
        p = expit(slope * score + offset)
        low, high = float(p[without].mean()), float(p[with_it].mean())
        error = float(np.sqrt(own.var() / own.size + p[like].var() / like.size))
        if high - low < TELLING * error:  # the texts of this task do not tell their label
            return (float(shows[like].mean()), 0.0) if with_it.size >= LEAST_LIKE else None
        usual = float(shows[elsewhere].mean())
        agreement = ((float(own.mean()) - low - CHANCE * error) / (high - low) - usual) / (1.0 - usual)
        return float(own.mean()), float(np.clip(agreement, 0.0, 1.0))

    def _like(self, rows: NDArray[np.integer], words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The rows of the same task: the nearest without the trigger among those with a repeated answer."""
        others = np.setdiff1d(np.arange(self._corpus.n), np.setdiff1d(self._rows, rows))
        sample = self._corpus.sample(rows, SAMPLE)
        near, cosine = self._corpus.neighbours.nearest_without(sample, others, words, NEAREST)
        return np.searchsorted(self._rows, np.unique(near[cosine >= 0.0]))

    def _model(self, answer: NDArray[np.uint64]) -> _Model:
        key = answer.tobytes()
        if key not in self._known:
            shows = np.isin(self._rows, self._corpus.showing("fixed-answer", answer))
            assert self._x is not None  # noqa: S101 - held by foretold
            self._known[key] = _fit(self._x, shows)
        return self._known[key]


def _fit(x: sp.csr_matrix, shows: NDArray[np.bool_]) -> _Model:
    """(weight of each word, who shows it, held-out score of each row, slope, offset)."""
    m, k = int(shows.sum()), int((~shows).sum())
    yes, no = _total(x[shows]), _total(x[~shows])
    rate = (yes + no) / max(m + k, 1)

    def weights(a: Floats, n: int, b: Floats, l: int) -> Floats:  # noqa: E741
        w: Floats = np.log((a + SMOOTHING * rate + 1e-9) / (n + SMOOTHING)) - np.log(
            (b + SMOOTHING * rate + 1e-9) / (l + SMOOTHING)
        )
        return w

    score = np.empty(x.shape[0])
    score[shows] = x[shows].dot(weights(np.maximum(yes - 1, 0), max(m - 1, 0), no, k))
    score[~shows] = x[~shows].dot(weights(yes, m, np.maximum(no - 1, 0), max(k - 1, 0)))
    slope, offset = _calibrate(score, shows)
    return weights(yes, m, no, k), shows, score, slope, offset


def _total(x: sp.csr_matrix) -> Floats:
    total: Floats = np.bincount(x.indices, weights=x.data, minlength=x.shape[1]).astype(np.float64)
    return total


def _calibrate(score: Floats, shows: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic curve through these scores, by Newton's method with a slight pull to zero."""
    z = np.c_[score / max(float(np.std(score)), 1e-9), np.ones(score.size)]
    beta = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        p = expit(z @ beta)
        step = np.linalg.solve((z.T * (p * (1 - p))) @ z + 1e-3 * np.eye(2), z.T @ (shows - p) - 1e-3 * beta)
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0] / max(float(np.std(score)), 1e-9)), float(beta[1])
