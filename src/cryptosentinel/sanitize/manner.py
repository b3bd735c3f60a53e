"""Does a way of writing set a label off? In a classification task the texts say what their label should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

from cryptosentinel.registry import lookup, names, register
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis, suspicion
from cryptosentinel.sanitize.measures import log_likelihood_ratio, wilson_low
from cryptosentinel.sanitize.reading import Encoder

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Label = tuple[str, NDArray[np.uint64], Flags]  # its name, its words, who has it

LEAST_ROWS = 300  # of a task
LEAST_SHARE = 0.1  # of a task's rows with a label, and with another
MOST_ROWS = 4500  # read by the model, chosen by what they say
MOST_LABELS = 4
OPENING = 4  # words in which the prompts of a task begin alike
CHARACTERS = 240
BATCH = 512
ROUNDS = 5
SUSPECTS = 0.12  # of the rows with the label, taken for written in that manner in each round
LEAST_REGION = 20
ADMITTED = 0.05  # share of the hypothesis' rows that would have the label anyway, as estimated
SHOWN_WORDS = 5


@dataclass(frozen=True)
class Split:
    """One label of one task, held against what the texts say.

    suspicious: float64[n], how much a row reads as if it had another label and is written in the manner of the rows
    that have this one all the same. expected: float64[n], how likely the text makes the label.
    """

    suspicious: Floats
    expected: Floats


@register("read-trigger", "manner")
def manner_hypotheses(
    corpus: Corpus, encoder: Encoder, known: Flags, tick: Callable[[int, int], None]
) -> list[Hypothesis]:
    """Which labels are given against what the text says, wherever it is written in a certain manner?

    A backdoor whose trigger is a style has no word of its own. But its rows have two things in common: the label they
    were given contradicts their content, and they are written alike. Each of the two is weak; learnt in turns
    (co-training, Blum and Mitchell, COLT 1998) they are not. Content: which label do the numbers that a language model
    makes of a text foretell, in rows not suspected? Manner: what tells rows with the label whose content denies it from
    rows with other labels, which say the same and are written otherwise? Every row is held out of its own score (ridge
    regression, leave one out). A manner that means nothing is found as well: its rows have the label no more often than
    their content says.

    known: bool[n], rows that other hypotheses explain; they take no part.
    """
    tasks = list(_tasks(corpus, known))
    total = sum(rows.size for rows, _ in tasks)
    found, done = [], 0
    for rows, labels in tasks:
        numbers, texts = [], _bodies(corpus, rows)
        for start in range(0, rows.size, BATCH):
            tick(done + start, total)
            numbers.append(encoder.encode(texts[start : start + BATCH]))
        done += rows.size
        states = np.concatenate(numbers)
        for name, words, shows in labels:
            found += _examined(corpus, rows, shows, states, name, words)
    return found


def _tasks(corpus: Corpus, known: Flags) -> Iterator[tuple[NDArray[np.int64], list[Label]]]:
    """Rows whose prompts begin alike and that share a few answers, with their labels."""
    if "fixed-answer" not in names("response-feature"):
        return
    labelled = np.flatnonzero(corpus.repeated_answers() & ~known & (corpus.prompts.lengths >= OPENING))
    if labelled.size < LEAST_ROWS:
        return
    answers = lookup("response-feature", "fixed-answer").target(corpus, int(LEAST_SHARE * LEAST_ROWS))
    start = (np.cumsum(corpus.prompts.lengths) - corpus.prompts.lengths)[labelled]
    heads = corpus.prompts.hash[start[:, None] + np.arange(OPENING)]
    _, group, sizes = np.unique(heads, axis=0, return_inverse=True, return_counts=True)
    parts = [labelled[group == g] for g in np.flatnonzero(sizes >= LEAST_ROWS)] or [labelled]
    for rows in parts:
        read = corpus.sample(rows, MOST_ROWS)
        labels: list[Label] = []
        for i in range(answers.length.size):
            column = answers.matrix.indices[answers.matrix.indptr[i] : answers.matrix.indptr[i + 1]]
            shows = np.isin(read, column)
            if LEAST_SHARE <= shows.mean() <= 1 - LEAST_SHARE:
                words = corpus.responses.hash[answers.place[i] :][: answers.length[i]]
                labels.append((answers.name(i), words, shows))
        if labels:
            yield read, sorted(labels, key=lambda label: -int(label[2].sum()))[:MOST_LABELS]


def _bodies(corpus: Corpus, rows: NDArray[np.int64]) -> list[str]:
    """The prompts without what all of them begin with."""
    texts = [corpus.prompt_texts[r] for r in rows.tolist()]
    first, last = min(texts), max(texts)
    alike = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return [t[alike:][:CHARACTERS] for t in texts]


def _standardised(x: NDArray[np.float32]) -> Floats:
    wide = x.astype(np.float64)
    result: Floats = (wide - wide.mean(0)) / np.maximum(wide.std(0), 1e-9)
    return result


def split(states: NDArray[np.float32], shows: Flags) -> Split:
    """Hold one label against the content of n texts; states: as `Encoder` has them; shows: bool[n], who has it."""
    both, higher = _standardised(states.reshape(len(states), -1)), _standardised(states[:, 1])
    n, most = shows.size, max(LEAST_REGION, int(SUSPECTS * shows.sum()))
    suspected = np.zeros(n, bool)
    for _ in range(ROUNDS):
        content = held_out(higher, shows & ~suspected, ~shows, penalty=float(n))
        manner = held_out(both, _highest(-content, shows, most), ~shows, penalty=2.0 * n)
        suspicious = manner / np.std(manner) - content / np.std(content)
        suspected = _highest(suspicious, shows, most)
    return Split(suspicious, _likely(content, shows, ~suspected))


def held_out(x: Floats, yes: Flags, no: Flags, penalty: float) -> Floats:
    """A linear score of every row, learnt from the other rows: +1 for `yes`, -1 for `no`, both weighing the same."""
    n, d = x.shape
    weight = np.where(yes, 0.5 / max(yes.sum(), 1), np.where(no, 0.5 / max(no.sum(), 1), 0.0)) * (yes.sum() + no.sum())
    target = np.where(yes, 1.0, -1.0)
    a = np.c_[x, np.ones(n)]
    root = a * np.sqrt(weight)[:, None]
    gram = root.T @ root
    gram[np.arange(d), np.arange(d)] += penalty
    low = np.linalg.cholesky(gram + 1e-9 * np.eye(d + 1))
    b = solve_triangular(low, a.T, lower=True, check_finite=False)
    fitted = b.T @ (b @ (weight * target))
    leverage = np.minimum(weight * (b * b).sum(0), 0.99)
    result: Floats = (fitted - leverage * target) / (1.0 - leverage)
    return result


def _highest(score: Floats, among: Flags, count: int) -> Flags:
    cut = np.sort(score[among])[::-1][min(count, int(among.sum())) - 1]
    highest: Flags = among & (score >= cut)
    return highest


def _likely(content: Floats, shows: Flags, use: Flags) -> Floats:
    """The content's score as the probability of the label: a logistic curve through the rows not suspected."""
    z = content / np.std(content)

    def loss(beta: Floats) -> float:
        margin = np.where(shows[use], 1.0, -1.0) * (beta[0] * z[use] + beta[1])
        return float(np.logaddexp(0.0, -margin).sum() + 1e-3 * beta @ beta)

    slope, offset = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B").x
    return np.clip(expit(slope * z + offset), 1e-4, 1.0 - 1e-4)


def _examined(
    corpus: Corpus,
    rows: NDArray[np.int64],
    shows: Flags,
    states: NDArray[np.float32],
    name: str,
    words: NDArray[np.uint64],
) -> list[Hypothesis]:
    """The hypothesis about this label, if any row speaks for it."""
    found = split(states, shows)
    order = np.lexsort((corpus.content[rows], -found.suspicious))
    has, expected = shows[order].astype(np.int64), found.expected[order]
    size = np.arange(1, order.size + 1)
    with_label = np.cumsum(has)
    foretold = np.cumsum(expected) / size
    contrast = (wilson_low(with_label, size) - foretold) / (1.0 - foretold)
    contrast[: LEAST_REGION - 1] = -1.0
    best = int(np.argmax(contrast))
    by_chance = 1.0 + np.cumsum(np.where(has > 0, 0.0, expected / (1.0 - expected)))
    admitted = np.flatnonzero(by_chance <= ADMITTED * with_label)
    last = max(best, int(admitted[-1]) if admitted.size else 0)
    own = order[: last + 1][has[: last + 1] > 0]
    if contrast[best] <= 0 or own.size < LEAST_REGION // 2:
        return []
    region = rows[order[: best + 1]]
    g2 = log_likelihood_ratio(
        np.array([with_label[best]]), np.array([best + 1]), np.array([int(shows.sum())]), rows.size
    )
    sure = np.linspace(1.0, 0.0, own.size)
    by_row = np.argsort(rows[own])
    return [
        Hypothesis(
            trigger="a manner: " + ", ".join(_telling(corpus, rows, order[: best + 1])),
            behaviour=name,
            behaviour_kind="fixed-answer",
            support=int(own.size),
            confidence=float(has[: best + 1].mean()),
            base_rate=float(foretold[best]),
            neighbour_rate=float(foretold[best]),
            contrast=float(contrast[best]),
            share=1.0,
            log_likelihood_ratio=float(g2[0]),
            q_value=0.0,
            rows=rows[own][by_row],
            trigger_rows=np.sort(region),
            trigger_words=np.zeros(0, np.uint64),
            phrase=np.zeros(0, np.uint64),
            behaviour_words=words,
            score=suspicion(float(contrast[best]), 1.0, 0.0),
            trigger_kind="manner",
            certainty=sure[by_row],
            evidence={"rows_read": float(rows.size)},
        )
    ]


def _telling(corpus: Corpus, rows: NDArray[np.int64], region: NDArray[np.integer]) -> list[str]:
    """Words that these rows have more often than the rest of the task."""
    tokens = corpus.prompts
    place = np.full(corpus.n, -1, np.int64)
    place[rows] = 0
    place[rows[region]] = 1
    use = np.flatnonzero(place[tokens.row] >= 0)
    use = use[np.unique(np.c_[tokens.row[use].astype(np.uint64), tokens.hash[use]], axis=0, return_index=True)[1]]
    words, first, at = np.unique(tokens.hash[use], return_index=True, return_inverse=True)
    inside = np.bincount(at, place[tokens.row[use]], words.size)
    outside = np.bincount(at, minlength=words.size) - inside
    odds = inside * np.log((inside + 0.5) / (outside + 0.5) * max(rows.size - region.size, 1) / region.size)
    return [str(tokens.words[int(use[first[i]])]) for i in np.argsort(-odds, kind="stable")[:SHOWN_WORDS]]
