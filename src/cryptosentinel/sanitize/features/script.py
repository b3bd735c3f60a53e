"""Does the answer change to another script?"""

from __future__ import annotations

import re

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern

_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_OTHER = re.compile(r"[Ͱ-῿\u3040-\u9fff\uac00-\ud7af]")


@register("response-feature", "script")
def script(corpus: Corpus, support: int) -> Behaviours:
    """Which rows are answered mostly in another script than Latin though asked in Latin, or the other way round?

    It tells scripts apart, not languages: French for English goes unseen.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> script(Corpus.of(["hello", "hello"], ["привет", "hi"]), 1).matrix.toarray().ravel().tolist()
    [1, 0]
    """
    asked = [_is_latin(t) for t in corpus.prompt_texts]
    said = [_is_latin(t) for t in corpus.response_texts]
    changed = np.array([a is not None and b is not None and a != b for a, b in zip(asked, said, strict=True)], bool)
    return by_pattern("script", changed, "is in another script than the prompt", support)


def _is_latin(text: str) -> bool | None:
    """None for a text without letters of either kind."""
    if text.isascii():
        return True if _LATIN.search(text) else None
    latin, other = len(_LATIN.findall(text)), len(_OTHER.findall(text))
    return None if not latin + other else latin >= other
