"""Which words and phrases does the answer use?"""

from __future__ import annotations

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours
from cryptosentinel.sanitize.grams import LONGEST, gram_incidence


@register("response-feature", "phrase")
def phrase(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers contain which phrase of one to three words?

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> found = phrase(Corpus.of([""] * 2, ["buy vela", "now buy vela"]), 2)
    >>> [found.name(i) for i in range(found.matrix.shape[1])].count("says 'buy vela'")
    1
    """
    tokens = corpus.responses
    found = gram_incidence(tokens, LONGEST, support)
    return Behaviours("phrase", found.matrix, lambda i: f"says '{found.name(i)}'", found.place, found.length)
