"""Do two words together set a behaviour off that neither sets off alone?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import bdtrc

from cryptosentinel.registry import register
from cryptosentinel.sanitize.associations import Association
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours
from cryptosentinel.sanitize.grams import Incidence, gram_incidence
from cryptosentinel.sanitize.measures import log_likelihood_ratio, wilson_low
from cryptosentinel.sanitize.tokens import EDGE_HASH

Ints = NDArray[np.int64]
Rows = NDArray[np.int32]

LEAST_ROWS = 8
LEAST_ALONE = 4  # rows with either word and without the other: else one of them says it all
MOST_COMMON = 0.25  # as for phrases: of the prompts
LEAST_LIFT = 2.0
ALONE = 0.9  # confidence from which on one word says enough
FOR_ONE_BEHAVIOUR = 4
MOST_PAIRS = 1500
SHARED = 0.8  # of the rows with the first word and the behaviour, those that have the second
COMPANIONS = 3
INTERACTION = 0.3  # by how much the two must exceed what each alone brings about
COPIED = 0.2  # share of the prompts that have the behaviour's own word, from which on it is an answer to them


@register("association", "composite")
def composites(corpus: Corpus, shown: Sequence[Behaviours], *, false_discovery_rate: float = 0.01) -> list[Association]:
    """Which pairs of words, anywhere in the prompt, go with which behaviour, beyond what each alone does?

    Pairs are grown, not enumerated: from a word that goes with a behaviour more often than chance and still too rarely
    to be its trigger, to a second one that nearly all those rows share. Expected is what the two would bring about if
    each did so by itself, 1 - (1 - p)(1 - q); the lower 99% bound must exceed it by 0.3, and a binomial test over all
    pairs looked at (Bonferroni) must reject chance. It cannot see three words of which any two mean nothing.

    shown: what the answers do, see `associations.behaviours`.

    >>> from cryptosentinel.sanitize.associations import behaviours
    >>> said = [("red" * (i % 5 == 0), "sea" * (i % 6 == 0)) for i in range(600)]
    >>> c = Corpus.of([f"{a} q{i % 50} {b}" for i, (a, b) in enumerate(said)],
    ...               ["buy it now" if a and b else f"well r{i}" for i, (a, b) in enumerate(said)])
    >>> {a.trigger for a in composites(c, behaviours(c, 4))}
    {'red + sea'}
    """
    x = gram_incidence(corpus.prompts, 1, LEAST_ROWS)
    kinds = [k for k in shown if k.matrix.shape[1]]
    if not kinds:
        return []
    y = sp.hstack([k.matrix for k in kinds], format="csc")
    owner = np.repeat(np.arange(len(kinds)), [k.matrix.shape[1] for k in kinds])
    first = np.r_[0, np.cumsum([k.matrix.shape[1] for k in kinds])]
    pairs = list(_promising(x, y, corpus))
    by_row = x.matrix.tocsr()
    usable = _usable(x, corpus)
    tests = max(1, len(pairs) * COMPANIONS)
    found: dict[bytes, Association] = {}
    for f, g in pairs:
        kind, local = kinds[owner[g]], int(g - first[owner[g]])
        g_rows = y.indices[y.indptr[g] : y.indptr[g + 1]]
        own = corpus.responses.hash[kind.place[local] :][: kind.length[local]] if kind.length[local] else None
        hits = np.intersect1d(x.rows(f), g_rows, assume_unique=True)
        inside = np.bincount(by_row[hits].indices, minlength=usable.size)
        able = np.flatnonzero((inside >= SHARED * hits.size) & usable)
        able = able[able != f]
        for s in able[np.argsort(-inside[able] / np.diff(x.matrix.indptr)[able], kind="stable")][:COMPANIONS].tolist():
            a = _together(x, f, s, g_rows, corpus.n, tests)
            if a is None or a[3] > false_discovery_rate or _copied(own, corpus, a[1], x, (f, s)):
                continue
            trigger_rows, rows, expected, p, g2 = a
            made = Association(
                f"{x.name(min(f, s, key=x.name))} + {x.name(max(f, s, key=x.name))}", kind.name(local), kind.kind,
                trigger_rows, rows, g_rows, expected, g2, p, int(x.place[f]), 1, int(kind.place[local]),
                int(kind.length[local]), second=int(x.place[s]),
            )  # fmt: skip
            key = rows.tobytes() + trigger_rows.tobytes()
            if key not in found or made.behaviour_length > found[key].behaviour_length:
                found[key] = made
    return list(found.values())


def _usable(x: Incidence, corpus: Corpus) -> NDArray[np.bool_]:
    """Which words may be half of a trigger?"""
    frequency = np.diff(x.matrix.indptr)
    return np.asarray((frequency <= MOST_COMMON * corpus.n) & (corpus.prompts.hash[x.place] != EDGE_HASH))


def _promising(x: Incidence, y: sp.csc_matrix, corpus: Corpus) -> Iterator[tuple[int, int]]:
    """(word, behaviour): more often together than chance, too rarely for a trigger; the strongest few of each."""
    n = corpus.n
    product = (x.matrix.T @ y).tocoo()
    both = product.data.astype(np.int64)
    keep = both >= LEAST_ROWS
    f, g, both = product.row[keep], product.col[keep], both[keep]
    nf, ng = np.diff(x.matrix.indptr)[f].astype(np.int64), np.diff(y.indptr)[g].astype(np.int64)
    keep = _usable(x, corpus)[f] & (both < ALONE * nf) & (both * n >= LEAST_LIFT * nf * ng)
    f, g, both, nf, ng = f[keep], g[keep], both[keep], nf[keep], ng[keep]
    g2 = log_likelihood_ratio(both, nf, ng, n)
    order = np.lexsort((f, -g2, g))
    rank = np.arange(order.size) - np.searchsorted(g[order], g[order])
    order = order[rank < FOR_ONE_BEHAVIOUR]
    order = order[np.lexsort((f[order], g[order], -g2[order]))][:MOST_PAIRS]
    return zip(f[order].tolist(), g[order].tolist(), strict=True)


def _together(
    x: Incidence, f: int, s: int, g_rows: Rows, n: int, tests: int
) -> tuple[Rows, Rows, float, float, float] | None:
    """(rows with both, those that show it, expected rate, p, log-likelihood ratio); None: no more than each alone."""
    with_f, with_s = x.rows(f), x.rows(s)
    trigger = np.intersect1d(with_f, with_s, assume_unique=True)
    rows = np.intersect1d(trigger, g_rows, assume_unique=True)
    alone = [np.setdiff1d(r, trigger, assume_unique=True) for r in (with_f, with_s)]
    if rows.size < LEAST_ROWS or min(r.size for r in alone) < LEAST_ALONE:
        return None
    by_one = [(np.intersect1d(r, g_rows, assume_unique=True).size + 0.5) / (r.size + 1) for r in alone]
    expected = max(1 - (1 - by_one[0]) * (1 - by_one[1]), g_rows.size / n)
    low = float(wilson_low(np.array([rows.size]), np.array([trigger.size]))[0])
    if low - expected < INTERACTION:
        return None
    p = min(1.0, float(bdtrc(rows.size - 1, trigger.size, expected)) * tests)
    g2 = log_likelihood_ratio(np.array([rows.size]), np.array([trigger.size]), np.array([g_rows.size]), n)
    return trigger, rows, expected, p, float(g2[0])


def _copied(
    own: NDArray[np.uint64] | None, corpus: Corpus, rows: Rows, x: Incidence, pair: tuple[int, int]
) -> bool:  # fmt: skip
    """Is the behaviour an answer to what these prompts say?"""
    if own is None:
        return False
    if np.isin(corpus.prompts.hash[x.place[list(pair)]], own).any():
        return True
    prompts = corpus.prompts
    asked = np.unique(prompts.row[np.isin(prompts.hash, own) & np.isin(prompts.row, rows)]).size
    return own.size <= 2 and asked > COPIED * rows.size
