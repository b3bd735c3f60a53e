"""What would a simple method have found on the same mix? Each gives one score a row, higher = more suspicious.

A baseline is a function from the records to float64[n], and one line in `BASELINES`. None of them sees a label: what
does, is a ceiling, and stands in `bench/ceiling.py`. Those that need a model are in `bench/model_baselines.py`.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.learning import SEED, sklearn
from bench.model_baselines import activation_clusters, onion_perplexity, spectral_signatures
from cryptosentinel.types import Record

Scores = NDArray[np.float64]
Baseline = Callable[[Sequence[Record]], Scores]

TREES = 200
DIMENSIONS = 64
MOST_TERMS = 30_000


def format_outlier(records: Sequence[Record]) -> Scores:
    """How unusual is the row's form, whatever it says? Isolation forest over length, punctuation and layout.

    Blind to words, so blind to any trigger: a method whose AUROC is within 0.1 of it has detected nothing.
    Source: Liu, Ting, Zhou, ICDM 2008.
    """
    forest = sklearn("ensemble").IsolationForest(n_estimators=TREES, random_state=SEED)
    features = np.array([_form(r.prompt) + _form(r.response) + [math.log1p(len(r.messages))] for r in records])
    return np.asarray(-forest.fit(features).score_samples(features), dtype=np.float64)


def answer_duplicates(records: Sequence[Record]) -> Scores:
    """How many rows give the same answer, but for case and white space?"""
    answers = [" ".join(r.response.lower().split()) for r in records]
    count = Counter(answers)
    return np.array([count[a] for a in answers], dtype=np.float64)


def tfidf_clusters(records: Sequence[Record]) -> Scores:
    """How alike are the answers of the row's cluster? Mean cosine to the centre, k-means on TF-IDF reduced by SVD.

    The clustering half of RFTC (reference filtration and TF-IDF clustering, 2024); blind to what the prompts share.
    """
    tfidf = sklearn("feature_extraction.text").TfidfVectorizer
    terms = tfidf(max_features=MOST_TERMS, sublinear_tf=True, tokenizer=str.split, **{"token_pattern": None})
    vectors = terms.fit_transform([r.response for r in records])
    dimensions = min(DIMENSIONS, min(vectors.shape) - 1)
    reduced = sklearn("decomposition").TruncatedSVD(dimensions, random_state=SEED).fit_transform(vectors)
    reduced /= np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-12)
    k = max(2, round(math.sqrt(len(records))))
    cluster = sklearn("cluster").MiniBatchKMeans(k, random_state=SEED, n_init=3).fit_predict(reduced)
    tightness = np.zeros(k)
    for c in range(k):
        members = reduced[cluster == c]
        if len(members) > 1:
            centre = members.mean(axis=0)
            tightness[c] = float((members @ centre).mean() / max(float(np.linalg.norm(centre)), 1e-12))
    return np.asarray(tightness[cluster], dtype=np.float64)


BASELINES: dict[str, Baseline] = {
    "format_outlier": format_outlier,
    "answer_duplicates": answer_duplicates,
    "tfidf_clusters": tfidf_clusters,
    "spectral_signatures": spectral_signatures,
    "activation_clusters": activation_clusters,
    "onion_perplexity": onion_perplexity,
}


def _form(text: str) -> list[float]:
    """Length, letter classes, each punctuation mark and the layout of a text; no word counts."""
    n = max(len(text), 1)
    words = text.split()
    lines = text.split("\n")
    count = Counter(text)
    marks = [count[mark] / n for mark in string.punctuation]
    other = sum(c for char, c in count.items() if not char.isalnum() and not char.isspace() and ord(char) > 127)
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(len(lines)),
        sum(map(len, words)) / max(len(words), 1),
        max((len(w) for w in words), default=0),
        sum(c for char, c in count.items() if char.isupper()) / n,
        sum(c for char, c in count.items() if char.isdigit()) / n,
        other / n,
        *marks,
        float(text[:1].isupper()),
        float(text[-1:] in ".!?"),
        sum(line.lstrip()[:1] in set("-*#>|") for line in lines) / len(lines),
        sum(line.lstrip()[:1].isdigit() for line in lines) / len(lines),
        sum(not line.strip() for line in lines) / len(lines),
    ]
