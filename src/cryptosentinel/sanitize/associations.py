"""Mine associations: when the prompt has F, the answer has G. One backdoor becomes one hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import chdtrc

from cryptosentinel.registry import lookup, names
from cryptosentinel.sanitize import features as _features  # noqa: F401  (registers the response features)
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.features.base import Behaviours
from cryptosentinel.sanitize.grams import LONGEST, Incidence, gram_incidence
from cryptosentinel.sanitize.measures import attributable, log_likelihood_ratio, q_values, wilson_low
from cryptosentinel.sanitize.tokens import EDGE_HASH, Tokens

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SUPPORT = 4  # smallest number of rows that a pair must share
LEAST_CONFIDENCE = 0.3  # lower 99% bound: a trigger that fires less often than this is no use to an attacker
LEAST_LIFT = 2.0
LEAST_TURNED = 0.6
MOST_COMMON = 0.6  # a phrase in more of the prompts than this distinguishes nothing
RARE_TOOL = "rare-tool-call"
PUSH = "promotion"
WHOLE = ("fixed-answer", "refusal", "hostile-tone", RARE_TOOL)  # behaviours that make up the answer
MOST_COMMON_IN_LOGS = 0.9  # an agent under attack may hear the trigger most of the time
_COUNT_BITS = np.uint64(24)


@dataclass(frozen=True)
class Association:
    """One pair of prompt phrase and behaviour that goes together more often than chance.

    trigger_rows, rows: int32, ascending: the rows with F, and those with F and G. expected: the rate of G that rows
    with F would have if F meant nothing (copying from the prompt allowed for). place, length: where F can be read
    among the prompts' tokens. behaviour_place, behaviour_length: where G can be read among the answers' tokens; the
    length is 0 where it has no fixed words. at_edge: F is at the beginning or end of a line, not just anywhere.
    second: where the other word of a trigger of two words can be read, -1 for a phrase.
    """

    trigger: str
    behaviour: str
    behaviour_kind: str
    trigger_rows: NDArray[np.int32]
    rows: NDArray[np.int32]
    behaviour_rows: NDArray[np.int32]
    expected: float
    log_likelihood_ratio: float
    q_value: float
    place: int
    length: int
    behaviour_place: int
    behaviour_length: int
    at_edge: bool = False
    second: int = -1

    @property
    def confidence(self) -> float:
        """Of the rows with the trigger, what share shows the behaviour?"""
        return self.rows.size / self.trigger_rows.size

    @property
    def margin(self) -> float:
        """How much does the trigger bring about beyond what is expected anyway? See `above`; at the lower 99% bound."""
        return above(self.low, self.expected, self.behaviour_kind)

    @property
    def low(self) -> float:
        """Lower 99% bound of the confidence."""
        return float(wilson_low(np.array([self.rows.size]), np.array([self.trigger_rows.size]))[0])


def above(rate: float, expected: float, kind: str) -> float:
    """How far is a rate above the expected one? For whole answers, as a share of the rows that are left to turn."""
    return attributable(rate, expected) if kind in WHOLE else rate - expected


class _Lookup:
    """Which prompts contain a word? By hash, for any word of any answer."""

    def __init__(self, tokens: Tokens) -> None:
        order = np.lexsort((tokens.row, tokens.hash))
        self._hash, self._row = tokens.hash[order], tokens.row[order]

    @lru_cache(maxsize=4096)  # noqa: B019 - lives as long as one scan
    def rows(self, word: np.uint64) -> NDArray[np.int32]:
        low, high = np.searchsorted(self._hash, word, "left"), np.searchsorted(self._hash, word, "right")
        return np.unique(self._row[low:high])


@dataclass(frozen=True)
class _Pairs:
    """Candidate pairs as parallel arrays."""

    f: Ints
    g: Ints
    both: Ints
    g2: Floats
    q: Floats


def _candidates(
    x: Incidence, y: sp.csc_matrix, rank: Ints, common: Floats, edge: NDArray[np.bool_], support: int,
    false_discovery_rate: float,
) -> _Pairs:  # fmt: skip
    """The significant pairs, one for each distinct set of rows; more where F is at an edge of a line, or G a push.

    One sparse product gives for every pair both the count (low 24 bits) and a signature of the rows (the rest), so
    that pairs about exactly the same rows are recognised without looking at them again.
    """
    n = x.matrix.shape[0]
    draw = np.random.default_rng(0).integers(1, 2**40, n, dtype=np.uint64)
    weight = (draw << _COUNT_BITS) + np.uint64(1)
    weighted = x.matrix.T.tocsr().astype(np.uint64)
    weighted.data = weight[weighted.indices]
    product = (weighted @ y.tocsr().astype(np.uint64)).tocoo()
    both = (product.data & ((np.uint64(1) << _COUNT_BITS) - np.uint64(1))).astype(np.int64)
    with_f = np.diff(x.matrix.indptr).astype(np.int64)
    with_g = np.diff(y.indptr).astype(np.int64)
    keep = both >= support
    f, g, both, mark = product.row[keep], product.col[keep], both[keep], product.data[keep]
    tests = int(product.nnz)
    nf, ng = with_f[f], with_g[g]
    keep = (nf <= np.maximum(common[g] * n, support)) & _tells(
        both / nf, (ng - both) / np.maximum(n - nf, 1), rank[g] == 0
    )
    keep &= wilson_low(both, nf) >= LEAST_CONFIDENCE
    f, g, both, nf, ng, mark = f[keep], g[keep], both[keep], nf[keep], ng[keep], mark[keep]
    g2 = log_likelihood_ratio(both, nf, ng, n)
    q = q_values(chdtrc(1, g2), max(tests, 1))
    keep = q <= false_discovery_rate
    f, g, both, g2, q, mark = f[keep], g[keep], both[keep], g2[keep], q[keep], mark[keep]
    order = np.lexsort((g, f, rank[g], -g2))
    mark, at_edge = mark[order], edge[f[order]]
    same = np.lexsort((at_edge, mark))
    new = np.ones(same.size, bool)
    new[1:] = (np.diff(mark[same]) != 0) | (at_edge[same][1:] != at_edge[same][:-1])
    chosen = order[np.sort(same[new])]
    return _Pairs(f[chosen].astype(np.int64), g[chosen].astype(np.int64), both[chosen], g2[chosen], q[chosen])


def _tells(rate: Any, expected: Any, whole: Any) -> Any:
    """Is the rate at least twice what is expected, or are most of the rows that are left turned? Elementwise.

    whole: does the behaviour make up the answer? A common word can only double its rate by chance of the topic; a
    label that half of the rows have cannot double at all.
    """
    turned = whole & (expected < 1.0) & (rate - expected >= LEAST_TURNED * (1.0 - expected))
    return turned | (rate >= LEAST_LIFT * expected)


def behaviours(corpus: Corpus, support: int = SUPPORT) -> list[Behaviours]:
    """Every registered response feature, applied to these answers."""
    return [lookup("response-feature", name).target(corpus, support) for name in names("response-feature")]


def mine(
    corpus: Corpus,
    shown: Sequence[Behaviours] | None = None,
    *,
    support: int = SUPPORT,
    false_discovery_rate: float = 0.01,
    most: int = 20_000,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Association]:
    """Which prompt phrases go with which behaviours, beyond chance and beyond copying? Strongest first.

    Args:
        corpus: the n rows.
        shown: what the answers do, where that is known already; see `behaviours`.
        support: smallest number of rows that a pair must share.
        false_discovery_rate: Benjamini-Hochberg level over all pairs that occur together.
        most: at most this many pairs, by log-likelihood ratio, are looked at closely.
        on_progress: called with (done, total).

    A pair is dropped as an echo when the behaviour's most telling word is part of the trigger, and it counts only as
    far as it exceeds the rate that copying from the prompt explains: rows whose prompt mentions that word are
    compared with other rows whose prompt mentions it.
    """
    prompts, responses = corpus.prompts, corpus.responses
    x = gram_incidence(prompts, LONGEST, support)
    kinds = behaviours(corpus, support) if shown is None else shown
    y = sp.hstack([k.matrix for k in kinds], format="csc")
    owner = np.repeat(np.arange(len(kinds)), [k.matrix.shape[1] for k in kinds])
    offset = np.r_[0, np.cumsum([k.matrix.shape[1] for k in kinds])]
    # of several behaviours of the same rows the one that says most is kept: a whole answer, words, a single name
    rank = np.array([0 if k.kind in WHOLE else 1 + (k.kind not in ("phrase", "opening")) for k in kinds])[owner]
    part = rank > 0
    common = np.array([MOST_COMMON_IN_LOGS if k.kind == RARE_TOOL else MOST_COMMON for k in kinds])[owner]
    edge = _with_edge(x, prompts)
    pairs = _candidates(x, y, rank, common, edge, support, false_discovery_rate)
    words, word_rows = _word_frequency(responses)
    prompt_words = _Lookup(prompts)
    strata = _Strata(prompts.n)
    lows = wilson_low(pairs.both, np.diff(x.matrix.indptr)[pairs.f].astype(np.int64))
    found: list[Association] = []
    total = min(most, pairs.f.size)
    for i in range(total):
        if on_progress and i % 256 == 0:
            on_progress(i, total)
        f, g = int(pairs.f[i]), int(pairs.g[i])
        kind = kinds[owner[g]]
        local = int(g - offset[owner[g]])
        f_rows = x.rows(f)
        g_rows = y.indices[y.indptr[g] : y.indptr[g + 1]]
        place, length = int(x.place[f]), int(x.length[f])
        mention = np.zeros(0, np.int32)
        if kind.place[local] >= 0:
            hashes = responses.hash[kind.place[local] : kind.place[local] + kind.length[local]]
            own = hashes[(hashes[:, None] != prompts.hash[place : place + length]).all(axis=1)]
            if kind.kind == "fixed-answer" and 2 * own.size > hashes.size:
                hashes = own  # quoting the trigger does not make a whole answer an echo of it
            # of equally rare words, the one that prompts use least tells most
            asked = np.array([prompt_words.rows(np.uint64(h)).size for h in hashes.tolist()])
            best = int(np.lexsort((asked, word_rows[np.searchsorted(words, hashes)]))[0])
            telling = np.uint64(hashes[best])
            if telling in prompts.hash[place : place + length]:
                continue
            # who asks for a name gets it; a name that is brought up unasked is already counted apart
            mention = prompt_words.rows(telling) if kind.kind != "name" else mention
        expected, rows = strata.expected(f_rows, g_rows, mention)
        if lows[i] <= expected or not _tells(pairs.both[i] / f_rows.size, expected, not part[g]):
            continue
        found.append(Association(
            x.name(f), kind.name(local), kind.kind, f_rows, rows, g_rows, expected,
            float(pairs.g2[i]), float(pairs.q[i]), place, length,
            int(kind.place[local]), int(kind.length[local]), bool(edge[f]),
        ))  # fmt: skip
    if on_progress:
        on_progress(total, total)
    return found


def _with_edge(x: Incidence, prompts: Tokens) -> NDArray[np.bool_]:
    """Which phrases have the edge of a line in them?"""
    edges = np.r_[0, np.cumsum(prompts.hash == EDGE_HASH)]
    return np.asarray(edges[x.place + x.length] > edges[x.place])


def _word_frequency(tokens: Tokens) -> tuple[NDArray[np.uint64], Ints]:
    """In how many texts does each word occur? (sorted hashes, counts)."""
    order = np.lexsort((tokens.row, tokens.hash))
    h, r = tokens.hash[order], tokens.row[order]
    new = np.ones(h.size, bool)
    new[1:] = (h[1:] != h[:-1]) | (r[1:] != r[:-1])
    words, counts = np.unique(h[new], return_counts=True)
    return words, counts.astype(np.int64)


class _Strata:
    """The rate of a behaviour that rows with a trigger would have if the trigger had no effect."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._shows = np.zeros(n, bool)
        self._mentions = np.zeros(n, bool)

    def expected(
        self, f: NDArray[np.int32], g: NDArray[np.int32], mention: NDArray[np.int32]
    ) -> tuple[float, NDArray[np.int32]]:
        """Within the strata "the prompt mentions it" and "it does not", weighted as the rows with F are.

        Also the rows with F that show it.
        """
        self._shows[g], self._mentions[mention] = True, True
        f_in = self._mentions[f]
        f_shows = self._shows[f]
        g_in = int(self._mentions[g].sum())
        n_in, n_shows, n_both = int(f_in.sum()), int(f_shows.sum()), int((f_in & f_shows).sum())
        self._shows[g], self._mentions[mention] = False, False
        inside = (g_in - n_both + 0.5) / (mention.size - n_in + 1)
        outside = (g.size - g_in - (n_shows - n_both) + 0.5) / (self._n - mention.size - (f.size - n_in) + 1)
        return float((n_in * inside + (f.size - n_in) * outside) / f.size), f[f_shows]
