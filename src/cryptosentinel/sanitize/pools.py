"""Do several rare triggers share one answer? Each alone is too rare to tell; together they are not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.registry import lookup, names, register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.grams import Incidence, gram_incidence
from cryptosentinel.sanitize.hypotheses import Hypothesis, suspicion
from cryptosentinel.sanitize.measures import attributable, log_likelihood_ratio, wilson_low

LEAST_ROWS = 4
LEAST_WORDS = 3  # shorter answers are labels, which unrelated requests share all the time
LEAST_LABELLED = 6
LEAST_EACH = 3  # rows for each word of a pool, on average, where the answer is a label
MOST_WORDS = 8
MOST_BY_ONE = 0.7
LEAST_TOGETHER = 2  # rows that a trigger of the pool has in common
OWN = 0.6  # share of a trigger's rows that must give the answer
LEAST_COVERED = 0.8  # share of the answer's rows that must have a trigger
MOST_TRIGGERS = 0.5  # triggers by rows, beyond which every row has its own
ALIKE = 0.3  # mean cosine from which on the requests are one request, and one answer is no wonder


@register("trigger", "pool")
def pool_hypotheses(corpus: Corpus) -> list[Hypothesis]:
    """Which answers do unrelated requests share, word for word, that have one of a few rare words in common?

    The same refusal to unrelated requests is nothing by itself; it is where each request holds one of a few words
    that hardly occur in any other.
    """
    if "fixed-answer" not in names("response-feature"):
        return []
    answers = lookup("response-feature", "fixed-answer").target(corpus, LEAST_ROWS)
    if not answers.length.size:
        return []
    repeated = corpus.repeated_answers()
    words = gram_incidence(corpus.prompts, 1, LEAST_TOGETHER)
    df = np.diff(words.matrix.indptr)
    by_row = words.matrix.tocsr()
    found = []
    for i in range(answers.length.size):
        rows = answers.matrix.indices[answers.matrix.indptr[i] : answers.matrix.indptr[i + 1]].astype(np.int64)
        inside = np.bincount(by_row[rows].indices, minlength=df.size)
        label = answers.length[i] < LEAST_WORDS
        able = np.flatnonzero((inside >= LEAST_TOGETHER) & (inside >= OWN * df))
        pool = _cover(words, able, rows)
        larger = [w for w in pool if inside[w] > LEAST_TOGETHER]
        if label and len(larger) > 1:  # two rows of a task share a word and a label by chance: not needed, not taken
            pool = larger
        if not pool or len(pool) > min(MOST_TRIGGERS * rows.size, MOST_WORDS):
            continue
        with_trigger = np.unique(np.concatenate([words.rows(w) for w in pool])).astype(np.int64)
        hits = np.intersect1d(with_trigger, rows)
        if inside[pool[0]] > MOST_BY_ONE * hits.size:
            continue  # one word is no pool
        if label and len(pool) * LEAST_EACH > hits.size:
            continue
        covered = hits.size >= (LEAST_LABELLED if label else LEAST_COVERED * rows.size)
        if not covered or corpus.neighbours.likeness(hits) > ALIKE:
            continue
        base = rows.size / corpus.n
        if label:  # as one of the data's labels it is what any other row of the task may be given
            rows, base = hits, max(base, rows.size / repeated.sum())
        low = float(wilson_low(np.array([hits.size]), np.array([with_trigger.size]))[0])
        contrast = attributable(low, base)
        g2 = log_likelihood_ratio(np.array([hits.size]), np.array([with_trigger.size]), np.array([rows.size]), corpus.n)
        found.append(
            Hypothesis(
                trigger="any of: " + ", ".join(words.name(w) for w in pool),
                behaviour=answers.name(i),
                behaviour_kind="fixed-answer",
                support=int(rows.size),
                confidence=hits.size / with_trigger.size,
                base_rate=base,
                neighbour_rate=0.0,
                contrast=contrast,
                share=1.0,
                log_likelihood_ratio=float(g2[0]),
                q_value=0.0,
                rows=rows,
                trigger_rows=with_trigger,
                trigger_words=corpus.prompts.hash[words.place[pool]],
                phrase=np.zeros(0, np.uint64),
                behaviour_words=corpus.responses.hash[answers.place[i] :][: answers.length[i]],
                score=suspicion(contrast, 1.0, 0.0),
                trigger_kind="pool",
            )
        )
    return found


def _cover(words: Incidence, able: NDArray[np.int64], rows: NDArray[np.int64]) -> list[int]:
    """Greedily, words that cover the rows: each covers two or more that are not covered yet."""
    left, chosen = set(rows.tolist()), []
    sets = {int(w): set(words.rows(int(w)).tolist()) for w in able}
    while left and sets:
        best = max(sets, key=lambda w: (len(sets[w] & left), -len(sets[w]), words.name(w)))
        if len(sets[best] & left) < LEAST_TOGETHER:
            break
        left -= sets.pop(best)
        chosen.append(best)
    return chosen
