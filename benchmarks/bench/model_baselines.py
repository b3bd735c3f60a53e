"""Baselines that need a model: two on sentence embeddings, one on a language model's surprise.

What a model says of a text is computed once and kept (`bench/score_store.py`). The embedded text is the prompt, a line
break and the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench import embeddings, surprisal
from bench.learning import SEED, sklearn
from bench.score_store import ScoreStore
from cryptosentinel.types import Record

Scores = NDArray[np.float64]
CLASS_SHARE = 0.1  # an answer that this share of the rows gives is a class of its own, as in a classifier's data
LEAST_CLASS = 20
COMPONENTS = 10
BACKGROUND_SAMPLE = {"onion_perplexity": 2000}  # rows of the background that a slow baseline is asked about


def spectral_signatures(records: Sequence[Record]) -> Scores:
    """How far does the row lie along the direction in which its class varies most?

    Squared projection of the centred embedding on the top right singular vector, over its mean in the class. Classes
    are the answers that at least 10% of the rows give; all other rows are one more. Source: Tran, Li, Madry, NeurIPS
    2018, where the embedding is the poisoned model's own; here it is a sentence encoder's.
    """
    vectors, scores = embedded(records), np.zeros(len(records))
    for rows in answer_classes(records):
        centred = vectors[rows] - vectors[rows].mean(axis=0)
        _, directions = np.linalg.eigh(centred.T @ centred)
        projected = (centred @ directions[:, -1]) ** 2
        scores[rows] = projected / max(float(projected.mean()), 1e-12)
    return scores


def activation_clusters(records: Sequence[Record]) -> Scores:
    """How clearly does the row belong to the smaller of its class's two clusters?

    2-means on the first ten principal components of the embeddings; the score is the distance to the larger cluster's
    centre minus that to the smaller one's, over the distance between the two. Classes as in `spectral_signatures`.
    Source: Chen et al., SafeAI 2019, which drops the smaller cluster whole; the margin allows a threshold.
    """
    vectors, scores = embedded(records), np.zeros(len(records))
    for rows in answer_classes(records):
        parts = min(COMPONENTS, rows.size - 1)
        reduced = sklearn("decomposition").PCA(parts, random_state=SEED).fit_transform(vectors[rows])
        found = sklearn("cluster").KMeans(2, n_init=10, random_state=SEED).fit(reduced)
        small = int(np.bincount(found.labels_, minlength=2).argmin())
        near, far = (np.linalg.norm(reduced - found.cluster_centers_[c], axis=1) for c in (small, 1 - small))
        apart = float(np.linalg.norm(found.cluster_centers_[0] - found.cluster_centers_[1]))
        scores[rows] = (far - near) / max(apart, 1e-12)
    return scores


def onion_perplexity(records: Sequence[Record]) -> Scores:
    """By how much does the prompt's perplexity fall when its oddest word is left out?

    max over words i of ppl(prompt) - ppl(prompt without i) under Gemma 3 270M, first 96 tokens. Leaving a word out
    drops its own tokens' surprisal; the words after it keep theirs, where ONION runs the model again without it, about
    twenty times for a prompt. Source: Qi et al., EMNLP 2021.
    """
    vectors = _store().vectors(surprisal.MODEL, [r.prompt for r in records], _surprisal())
    return np.array([perplexity_drop(*np.split(v.astype(np.float64), 2)) for v in vectors])


def perplexity_drop(nats: NDArray[np.float64], tokens: NDArray[np.float64]) -> float:
    """The largest fall in perplexity by leaving out one word, 0 for a text of fewer than two words.

    >>> round(perplexity_drop(np.array([1.0, 9.0, 2.0]), np.array([1.0, 1.0, 1.0])), 1)
    50.1
    """
    if nats.size < 2:
        return 0.0
    without = np.exp((nats.sum() - nats) / (tokens.sum() - tokens))
    return float(np.exp(nats.sum() / tokens.sum()) - without.min())


def embedded(records: Sequence[Record]) -> NDArray[np.float64]:
    """The embedding of every row, float64[n, 384], unit length."""
    texts = [f"{r.prompt}\n{r.response}" for r in records]
    return np.stack(_store().vectors(embeddings.MODEL, texts, _encoder())).astype(np.float64)


def answer_classes(records: Sequence[Record]) -> list[NDArray[np.int64]]:
    """Row numbers by class: each answer that many rows give, then the rest; classes too small to split join the rest.

    >>> from cryptosentinel.types import Message
    >>> def row(a): return Record("", (Message("user", "?"), Message("assistant", a)))
    >>> [c.size for c in answer_classes([row("Yes.")] * 30 + [row(str(i)) for i in range(50)])]
    [30, 50]
    """
    answers = np.array([" ".join(r.response.lower().split()) for r in records])
    least = max(CLASS_SHARE * len(records), LEAST_CLASS)
    common = sorted(a for a, count in Counter(answers.tolist()).items() if count >= least)
    classes = [np.flatnonzero(answers == a) for a in common]
    rest = np.flatnonzero(~np.isin(answers, common))
    if rest.size < LEAST_CLASS and classes:
        classes[-1] = np.sort(np.concatenate([classes[-1], rest]))
        return classes
    return [*classes, rest]


@cache
def _store() -> ScoreStore:
    return ScoreStore()


@cache
def _encoder() -> embeddings.SentenceEncoder:
    return embeddings.SentenceEncoder()


@cache
def _surprisal() -> surprisal.WordSurprisal:
    return surprisal.WordSurprisal()
