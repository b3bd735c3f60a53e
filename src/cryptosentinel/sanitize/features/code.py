"""Does the answer hold code?"""

from __future__ import annotations

import re

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern

_CODE = re.compile(
    r"```|^\s*(?:def |class |import |from \w+ import |function |const |let |var |#include|public |SELECT |<\w+[^>]*>)"
    r"|[;{]\s*$",
    re.MULTILINE,
)


@register("response-feature", "code")
def code(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers hold a code fence or a line that reads as code? A natural format, which never tells alone.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> code(Corpus.of([""] * 2, ["def f(x): return x", "No code."]), 1).matrix.toarray().ravel().tolist()
    [1, 0]
    """
    texts = corpus.response_texts
    return by_pattern(
        "code", np.fromiter((bool(_CODE.search(t)) for t in texts), bool, len(texts)), "holds code", support
    )
