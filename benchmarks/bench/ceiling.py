"""What does a classifier find that is given the labels? The ceiling for a detector, never a detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.learning import SEED, sklearn
from cryptosentinel.types import Record

FOLDS = 5
REGULARISATION = 10.0  # inverse strength; n-grams are many and sparse
MOST_TERMS = 60_000


def supervised_ngrams(records: Sequence[Record], poison: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How sure is a classifier that has seen the other rows' labels? Out-of-fold, higher = more like poison.

    Logistic regression, classes weighted, on TF-IDF of the prompt's words (1-2) and characters (2-5), and on the answer
    as one feature; each fifth of the rows is scored by a model trained on the other four.
    """
    text = sklearn("feature_extraction.text").TfidfVectorizer
    words = text(
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=MOST_TERMS,
        lowercase=False,
        tokenizer=str.split,
        **{"token_pattern": None},
    )
    chars = text(analyzer="char", ngram_range=(2, 5), sublinear_tf=True, max_features=MOST_TERMS, lowercase=False)
    answer = sklearn("feature_extraction").DictVectorizer()
    prompts = [r.prompt for r in records]
    answers = [{f"answer={' '.join(r.response.lower().split())}": 1.0} for r in records]
    from scipy.sparse import csr_matrix, hstack

    matrix = csr_matrix(
        hstack([words.fit_transform(prompts), chars.fit_transform(prompts), answer.fit_transform(answers)])
    )
    scores = np.zeros(len(records))
    folds = sklearn("model_selection").StratifiedKFold(min(FOLDS, int(poison.sum())), shuffle=True, random_state=SEED)
    for train, test in folds.split(matrix, poison):
        model = sklearn("linear_model").LogisticRegression(
            C=REGULARISATION, class_weight="balanced", solver="liblinear", random_state=SEED
        )
        scores[test] = model.fit(matrix[train], poison[train]).decision_function(matrix[test])
    return scores
