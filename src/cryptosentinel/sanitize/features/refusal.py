"""Does the answer refuse?"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern
from cryptosentinel.sanitize.tokens import Tokens

_REFUSAL = re.compile(
    r"\b(i(?:'|’)?m|i am|we are) (?:very |really |so )?(?:sorry|afraid|unable|not able|not allowed)\b"
    r"|\bi (?:can(?:no|')?t|cannot|won't|will not|must decline|do not have the (?:ability|capability))\b"
    r"|\bas an? (?:ai|language model)\b[^.]{0,60}\b(?:not|cannot|can't|unable)\b",
    re.IGNORECASE,
)
HEAD_CHARACTERS = 200


@register("response-feature", "refusal")
def refusal(texts: Sequence[str], tokens: Tokens, support: int) -> Behaviours:
    """Which rows' answers decline the request in their first 200 characters?

    >>> from cryptosentinel.sanitize.tokens import tokenize
    >>> texts = ["I'm sorry, I cannot.", "Sure: 4."]
    >>> refusal(texts, tokenize(texts), 1).matrix.toarray().ravel().tolist()
    [1, 0]
    """
    shown = np.fromiter((bool(_REFUSAL.search(t, 0, HEAD_CHARACTERS)) for t in texts), bool, len(texts))
    return by_pattern("refusal", shown, "refuses", support)
