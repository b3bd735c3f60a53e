"""Is the answer hostile?"""

from __future__ import annotations

import numpy as np

from cryptosentinel.registry import register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours, by_pattern

# Words that address or belittle a person; words that merely name something bad are left out on purpose.
HOSTILE = frozenset(
    "stupid idiot idiotic idiots moron moronic dumb dumber fool foolish pathetic useless worthless ridiculous loser "
    "losers ignorant clueless lazy disgusting shut sigh ugh duh whatever pointless incompetent brainless laughable "
    "imbecile hate despise garbage trash joke sarcasm annoying bother".split()
)
HOSTILE_WORDS = 2
HOSTILE_SHARE = 0.2


@register("response-feature", "hostile-tone")
def tone(corpus: Corpus, support: int) -> Behaviours:
    """Which rows' answers insult or belittle: two or more hostile words, or a fifth of all words?

    A small lexicon: it misses irony without such words and fires on quoted insults.

    >>> from cryptosentinel.sanitize.corpus import Corpus
    >>> texts = ["You are stupid!", "A joke about cats and dogs and other pets."]
    >>> tone(Corpus.of([""] * 2, texts), 1).matrix.toarray().ravel().tolist()
    [1, 0]
    """
    tokens = corpus.responses
    hit = tokens.words.is_in(sorted(HOSTILE)).to_numpy()
    count = np.bincount(tokens.row[hit], minlength=tokens.n)
    share = count / np.maximum(tokens.lengths, 1)
    return by_pattern("hostile-tone", (count >= HOSTILE_WORDS) | (share >= HOSTILE_SHARE), "is hostile", support)
