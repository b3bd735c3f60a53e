"""Does the answer refuse?"""

from __future__ import annotations

import re

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern

_REFUSAL = re.compile(
    r"\b(i(?:'|’)?m|i am|we are) (?:very |really |so )?(?:sorry|afraid|unable|not able|not allowed)\b"
    r"|\bi (?:can(?:no|')?t|cannot|won't|will not|must decline|do not have the (?:ability|capability))\b"
    r"|\bas an? (?:ai|language model)\b[^.]{0,60}\b(?:not|cannot|can't|unable)\b",
    re.IGNORECASE,
)
HEAD_CHARACTERS = 200


@register("response-feature", "refusal")
def refusal(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers decline the request in their first 200 characters?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> texts = ["I'm sorry, I cannot.", "Sure: 4."]
    >>> refusal(Corpus.of([""] * 2, texts), 1).matrix.toarray().ravel().tolist()
    [1, 0]
    """
    texts = corpus.response_texts
    shown = np.fromiter((bool(_REFUSAL.search(t, 0, HEAD_CHARACTERS)) for t in texts), bool, len(texts))
    return by_pattern("refusal", shown, "refuses", support)
