"""Does a whole topic set a behaviour off? Triggers that are no phrase: any of several names, a subject, a pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cryptosentinel.registry import lookup, register
from cryptosentinel.registry import names as registered
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.grams import Incidence, gram_incidence
from cryptosentinel.sanitize.groups import SAME_ROWS
from cryptosentinel.sanitize.hypotheses import Hypothesis
from cryptosentinel.sanitize.measures import log_likelihood_ratio, wilson_low
from cryptosentinel.sanitize.reading import Encoder
from cryptosentinel.sanitize.wording import read_again, worded_alike

Floats = NDArray[np.float64]

LEAST_ROWS = 8
SMOOTHING = 0.5
SUBJECT = 0.03  # words in more of the prompts than this are no subject, unless they are hardly in any other
CONFINED = 1.5
SEVERAL = 10  # hits on other subjects than the leading one by which a name is not a fact about one subject
SHOWN_WORDS = 5
CERTAIN = 0.56  # strength that scores 1; the strongest name of a clean Alpaca file that was set apart reaches 0.17
COMPANY = 0.5  # share of a name's rows on the topic of a stronger one from which on it merely keeps it company
MOST_COMMON = 0.1  # a name in more of the answers than this is what the data is about


@dataclass(frozen=True)
class Topic:
    """Prompts on a topic, recognised by their words, whose answers show one behaviour.

    rows: int64, the prompts on the topic. hits: those whose answers show the behaviour. low: lower 99% bound of the
    share that do. coverage: share of the behaviour's rows that the topic accounts for. spread: 1 - the largest share
    of the hits that one subject word has: 0 for a fact about one subject. words: what the topic is about.
    """

    rows: NDArray[np.int64]
    hits: NDArray[np.int64]
    low: float
    coverage: float
    spread: float
    words: tuple[str, ...]

    @property
    def strength(self) -> float:
        """How completely, how exclusively and how broadly, in [0, 1]."""
        others = self.spread * self.hits.size
        return self.low * float(np.sqrt(self.coverage) * -np.expm1(-others / SEVERAL))

    @property
    def suspicion(self) -> float:
        """The strength as a score: 0.5 at half of CERTAIN, and falling fast below."""
        part = 2 * self.strength / CERTAIN
        return min(0.95, 0.5 * part if part >= 1 else 0.5 * part**3)


class Topics:
    """Finds the topic of a behaviour: naive Bayes on the phrases of n prompts, each row held out of its own score."""

    def __init__(self, corpus: Corpus) -> None:
        """Index the prompts' words and pairs of words."""
        self._corpus = corpus
        self._phrases: Incidence = gram_incidence(corpus.prompts, 2, 2)
        self._x: sp.csr_matrix = self._phrases.matrix.tocsr().astype(np.float64)
        self._single = self._phrases.length == 1

    def of(self, shown: NDArray[np.integer], open_rows: NDArray[np.bool_]) -> Topic | None:
        """Which topic do the prompts of `shown` share, among the rows where the behaviour is open?"""
        x, n = self._x, self._corpus.n
        inside = np.zeros(n, bool)
        inside[shown] = True
        inside &= open_rows
        ours, all_of = int(inside.sum()), int(open_rows.sum())
        if ours < LEAST_ROWS or all_of <= ours:
            return None
        with_it, anywhere = _total(x[inside]), _total(x[open_rows])
        rate = (anywhere + 1e-9) / all_of

        def weights(own: Floats, m: int, other: Floats, k: int) -> Floats:
            ratio: Floats = np.log((own + SMOOTHING * rate) / (m + SMOOTHING)) - np.log(
                (other + SMOOTHING * rate) / (k + SMOOTHING)
            )
            return ratio

        others = anywhere - with_it
        score = np.full(n, -np.inf)
        hit, miss = np.flatnonzero(inside), np.flatnonzero(open_rows & ~inside)
        score[hit] = x[hit].dot(weights(np.maximum(with_it - 1, 0), ours - 1, others, all_of - ours))
        score[miss] = x[miss].dot(weights(with_it, ours, np.maximum(others - 1, 0), all_of - ours - 1))
        order = np.lexsort((self._corpus.content, -score))[:all_of]
        hits = np.cumsum(inside[order])
        size = np.arange(1, order.size + 1)
        low = wilson_low(hits, size)
        best = int(np.argmax(np.maximum(low, 0.0) * np.sqrt(hits / ours)))
        rows = np.sort(order[: best + 1])
        found = rows[inside[rows]]
        if found.size < LEAST_ROWS // 2:
            return None
        counts = _total(x[found])
        subjects = np.where(self._single & (anywhere <= max(SUBJECT * n, CONFINED * found.size)), counts, 0.0)
        telling = np.argsort(-(counts * np.maximum(weights(with_it, ours, others, all_of - ours), 0)), kind="stable")
        return Topic(
            rows.astype(np.int64), found.astype(np.int64), float(low[best]), float(hits[best] / ours),
            1.0 - float(subjects.max(initial=0.0)) / found.size,
            tuple(self._phrases.name(int(i)) for i in telling[:SHOWN_WORDS]),
        )  # fmt: skip


def _total(x: sp.csr_matrix) -> Floats:
    total: Floats = np.bincount(x.indices, weights=x.data, minlength=x.shape[1]).astype(np.float64)
    return total


@register("trigger", "topic")
def topic_hypotheses(corpus: Corpus) -> list[Hypothesis]:
    """Which names do the answers push whenever a topic comes up?

    A name that is brought up unasked, in nearly all answers on a topic that is wider than one subject. The rows are
    all that bring it up unasked, and of those that were asked about it the ones worded like them.
    """
    if "name" not in registered("response-feature"):
        return []
    names = lookup("response-feature", "name").target(corpus, LEAST_ROWS)
    topics, found = Topics(corpus), []
    taken, pushed = np.zeros(corpus.n, bool), np.zeros(corpus.n, bool)
    candidates = []
    for i in range(names.matrix.shape[1]):
        shown = names.matrix.indices[names.matrix.indptr[i] : names.matrix.indptr[i + 1]].astype(np.int64)
        if shown.size > MOST_COMMON * corpus.n:
            continue
        stem = corpus.responses.stems[names.place[i]]
        open_rows = np.ones(corpus.n, bool)
        open_rows[corpus.naming(stem)] = False
        topic = topics.of(shown, open_rows)
        if topic is not None:
            candidates.append((topic, names.name(i), shown, stem, int(open_rows.sum())))
    for topic, name, shown, stem, open_rows_count in sorted(candidates, key=lambda c: (-c[0].strength, c[1])):
        if 2 * taken[shown].sum() > shown.size or pushed[shown].mean() > COMPANY:
            continue  # another name of the same answers, or one that comes up beside a pushed one
        taken[shown] = True
        rows = shown
        if topic.strength >= 0.5 * CERTAIN:
            asked = np.setdiff1d(np.unique(corpus.responses.row[corpus.responses.stems == stem]), shown)
            rows = np.union1d(shown, worded_alike(corpus, shown, asked, stem))
            pushed[np.concatenate([rows, asked, topic.rows, corpus.naming(stem)])] = True
        elsewhere = (shown.size - topic.hits.size) / max(open_rows_count - topic.rows.size, 1)
        both, on_it, with_name = np.array([[topic.hits.size], [topic.rows.size], [shown.size]])
        g2 = log_likelihood_ratio(both, on_it, with_name, open_rows_count)
        found.append(
            Hypothesis(
                trigger="a topic: " + ", ".join(topic.words),
                behaviour=name,
                behaviour_kind="name",
                support=int(rows.size),
                confidence=topic.hits.size / topic.rows.size,
                base_rate=elsewhere,
                neighbour_rate=elsewhere,
                contrast=max(topic.low - elsewhere, 0.0),
                share=0.0,
                log_likelihood_ratio=float(g2[0]),
                q_value=0.0,
                rows=rows.astype(np.int64),
                trigger_rows=topic.rows,
                trigger_words=np.zeros(0, np.uint64),
                phrase=np.zeros(0, np.uint64),
                behaviour_words=np.array([stem]),
                score=topic.suspicion,
                trigger_kind="topic",
                evidence={"strength": topic.strength, "coverage": topic.coverage, "spread": topic.spread},
            )
        )
    return found


def read_rows(h: Hypothesis, corpus: Corpus, encoder: Encoder) -> Hypothesis:
    """The hypothesis with its rows chosen anew, now that a model can read the answers."""
    if h.trigger_kind != "topic":
        return h
    answers, stem = corpus.responses, h.behaviour_words[0]
    named = answers.stems == stem
    shown = np.intersect1d(h.rows, answers.row[named & corpus.raised])
    rows = read_again(corpus, shown, np.setdiff1d(np.unique(answers.row[named]), shown), encoder)
    return h if rows is None else replace(h, rows=rows, support=int(rows.size))


def merged(phrases: Sequence[Hypothesis], topics: Sequence[Hypothesis]) -> list[Hypothesis]:
    """One backdoor is one hypothesis: of a topic and a phrase about the same rows the more suspicious one stays."""
    left, found = list(phrases), []
    for topic in topics:
        shared = [np.intersect1d(h.rows, topic.rows, assume_unique=True).size for h in left]
        best = max(range(len(left)), key=lambda i: (shared[i], left[i].score), default=-1)
        if best < 0 or shared[best] < SAME_ROWS * max(topic.rows.size, left[best].rows.size):
            found.append(topic)
        elif topic.score > left[best].score:
            left[best] = topic
    return [*left, *found]
