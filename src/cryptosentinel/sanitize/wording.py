"""Which answers are worded like these? Learnt from the rows that show a behaviour beyond doubt, for those in doubt."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.reading import Encoder

Floats = NDArray[np.float64]

FOLDS = 5
MOST_LEARNT = 2000  # rows of either side
LEAST_SURE = 12
LEAST_IN_DOUBT = 4
PENALTY = 3.0  # of the squared weights; more than the usual 1 since there are few rows and many words
STATE_PENALTY = 1000.0  # for a model's states: a few hundred numbers, none of them zero
TYPICAL = 0.45  # a row in doubt joins when its answer is worded more like the sure ones than half of them are
HARDLY, LEAST_OTHERS = 0.1, 0.4  # share of those in doubt that must be worded as only a tenth of the sure ones is
STRAY = 0.05  # of the sure ones, those that are worded least like the rest, once a model has read them
MOST_READ = 800


def worded_alike(
    corpus: Corpus, sure: NDArray[np.integer], in_doubt: NDArray[np.integer], leave_out: np.uint64 | None = None
) -> NDArray[np.int64]:
    """Which of the rows in doubt are worded like the sure ones? Ascending.

    A logistic regression on the words of the answers tells sure from doubtful rows; every row is scored by models
    that did not see it (five folds, drawn by content). In doubt a row is taken in when it scores above about the
    median of the sure ones: if no wording is shared the two differ and nobody passes. Nobody passes either where all
    answers are worded alike, as calls and labels are. Source: learning from positive and unlabelled rows, Elkan and
    Noto, KDD 2008.

    leave_out: the stem of a word that does not count, such as the name that both sides mention.
    """
    if sure.size < LEAST_SURE or in_doubt.size < LEAST_IN_DOUBT:
        return np.zeros(0, np.int64)
    rows = np.concatenate([sure, in_doubt]).astype(np.int64)
    score = _held_out(_words(corpus, rows, leave_out), sure.size, corpus.content[rows], PENALTY)
    return np.sort(in_doubt[_alike(score[: sure.size], score[sure.size :])]).astype(np.int64)


def read_again(
    corpus: Corpus, sure: NDArray[np.integer], in_doubt: NDArray[np.integer], encoder: Encoder
) -> NDArray[np.int64] | None:
    """Which of all these rows are worded alike, once a model has read their answers? Ascending; None: not to be told.

    As `worded_alike`, on what a lower layer of the model makes of the answers; and the few of the sure ones that are
    worded least like the rest are left out.
    """
    few = sure.size < LEAST_SURE or in_doubt.size < LEAST_IN_DOUBT
    if few or sure.size + in_doubt.size > MOST_READ:
        return None
    rows = np.concatenate([sure, in_doubt]).astype(np.int64)
    states = encoder.encode([corpus.response_texts[i] for i in rows])[:, 0].astype(np.float64)
    states = (states - states.mean(0)) / (states.std(0) + 1e-6)
    score = _held_out(states, sure.size, corpus.content[rows], STATE_PENALTY)
    own, doubtful = score[: sure.size], score[sure.size :]
    return np.sort(rows[np.r_[own >= np.quantile(own, STRAY), _alike(own, doubtful)]])


def _alike(sure: Floats, in_doubt: Floats) -> NDArray[np.bool_]:
    """Which of those in doubt score like the sure ones?"""
    own_way = (in_doubt < np.quantile(sure, HARDLY)).mean() >= LEAST_OTHERS
    return np.asarray((in_doubt >= np.quantile(sure, TYPICAL)) & own_way)


def _held_out(x: sp.csr_matrix | Floats, sure: int, content: NDArray[np.uint64], penalty: float) -> Floats:
    """How much is each row like the first `sure` ones, according to models that did not see it?"""
    rows = x.shape[0]
    y = np.r_[np.ones(sure), np.zeros(rows - sure)]
    fold = np.full(rows, FOLDS, np.int64)
    for side in (np.arange(sure), np.arange(sure, rows)):  # the same share of either in every fold
        learnt = side[np.argsort(content[side], kind="stable")][:MOST_LEARNT]
        fold[learnt] = np.arange(learnt.size) % FOLDS
    score = np.zeros(rows)
    for k in range(FOLDS):
        seen = (fold != k) & (fold < FOLDS)
        weights, bias = _fit(x[seen], y[seen], penalty)
        held, others = fold == k, fold == FOLDS
        score[held] = x[held].dot(weights) + bias
        score[others] += (x[others].dot(weights) + bias) / FOLDS
    return score


def _words(corpus: Corpus, rows: NDArray[np.int64], leave_out: np.uint64 | None) -> sp.csr_matrix:
    """Which of these answers has which word? Words of a single answer tell nothing."""
    tokens = corpus.responses
    place = np.full(corpus.n, -1, np.int64)
    place[rows] = np.arange(rows.size)
    use = place[tokens.row] >= 0
    if leave_out is not None:
        use &= tokens.stems != leave_out
    _, column = np.unique(tokens.hash[use], return_inverse=True)
    x = sp.csr_matrix((np.ones(column.size), (place[tokens.row[use]], column)), shape=(rows.size, column.max() + 1))
    x.sum_duplicates()
    x.data[:] = 1.0
    shared = np.flatnonzero(np.bincount(x.indices, minlength=x.shape[1]) >= 2)
    kept: sp.csr_matrix = x.tocsc()[:, shared].tocsr()
    return kept


def _fit(x: sp.csr_matrix | Floats, y: Floats, penalty: float) -> tuple[Floats, float]:
    """Logistic regression with a squared penalty, both classes weighing the same."""
    weight = np.where(y > 0, 0.5 / max(y.mean(), 1e-9), 0.5 / max(1 - y.mean(), 1e-9))
    sign = np.where(y > 0, 1.0, -1.0)

    def loss(beta: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ beta[:-1] + beta[-1])
        pull = -weight * sign * expit(-margin)
        value = float(weight @ np.logaddexp(0.0, -margin) + 0.5 * penalty * beta[:-1] @ beta[:-1])
        return value, np.r_[x.T @ pull + penalty * beta[:-1], pull.sum()]

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return found[:-1], float(found[-1])
