"""Does the answer push something that nobody asked about?"""

from __future__ import annotations

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern
from cryptosentinel.sanitize.features.name import raised_names

# Words that urge somebody to get something; those that merely praise, or send one to a place, are left out on purpose.
URGING = frozenset(
    "buy purchase order shop subscribe invest download install switch upgrade hire book try choose pick "
    "recommend recommended recommends suggest advise endorse consider prefer".split()
)
SENTENCE_ENDS = (".", "!", "?", ";")


@register("response-feature", "promotion")
def promotion(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers urge to get something by name, in one sentence, that nobody had mentioned?

    It sees pushes whose product and wording change from row to row. A small English lexicon: it misses a push without
    such a word, and fires on honest recommendations, which only a trigger makes suspicious.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> texts = ["Run daily. Better buy shoes by Vela!", "Buy good shoes.", "I like shoes by Vela."]
    >>> promotion(Corpus.of(["Shoes?"] * 3, texts), 1).matrix.toarray().ravel().tolist()
    [1, 0, 0]
    """
    tokens = corpus.responses
    ends = tokens.words.is_in(SENTENCE_ENDS).to_numpy()
    new = np.r_[True, tokens.row[1:] != tokens.row[:-1]] if tokens.row.size else np.zeros(0, bool)
    sentence = np.cumsum(new | np.r_[False, ends[:-1]][: new.size])
    urged, named = tokens.words.is_in(sorted(URGING)).to_numpy(), raised_names(corpus)
    both = np.intersect1d(sentence[urged], sentence[named])
    shown = np.zeros(tokens.n, bool)
    shown[tokens.row[np.isin(sentence, both)]] = True
    return by_pattern("promotion", shown, "urges to get something that nobody mentioned", support)
