"""Which rows ask nearly the same thing? Nearest prompts by TF-IDF, the trigger's own words left out."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cryptosentinel.sanitize.grams import gram_incidence
from cryptosentinel.sanitize.tokens import Tokens

_TIE = 1e-9  # below any difference between two cosines that are not equal
_COMMON = 0.03  # words in more prompts than this say nothing about the topic


class Neighbours:
    """Nearest prompts among n, by cosine of TF-IDF over single words.

    >>> from cryptosentinel.sanitize.tokens import tokenize
    >>> texts = ["buy red shoes pls", "red shoes now", "green tea"] + ["filler text"] * 200
    >>> near = Neighbours(tokenize(texts), np.arange(203, dtype=np.uint64))
    >>> near.nearest_without(np.array([0]), np.array([0]), np.array([], np.uint64), 1)[0].tolist()
    [[1]]
    """

    def __init__(self, prompts: Tokens, content: NDArray[np.uint64]) -> None:
        """Index the prompts; words in a single prompt or in more than 3% of many are left out.

        content: a key of each row by which ties are broken, so that the order of the rows does not matter.
        """
        words = gram_incidence(prompts, 1, 2)
        frequency = np.diff(words.matrix.indptr)
        n = prompts.n
        weight = np.where(frequency > max(_COMMON * n, 20), 0.0, np.log(n / np.maximum(frequency, 1)))
        matrix = (words.matrix @ sp.diags(weight)).tocsr()
        matrix.eliminate_zeros()
        self._matrix = _normalised(matrix)
        self._transposed = self._matrix.T.tocsr()
        hashes = prompts.hash[words.place]
        self._order = np.argsort(hashes)
        self._hashes = hashes[self._order]
        rank = np.empty(n)
        rank[np.argsort(content, kind="stable")] = np.arange(n)
        self._tie = rank * (_TIE / max(n, 1))

    def likeness(self, rows: NDArray[np.integer]) -> float:
        """Mean cosine between any two of these prompts; 0 for fewer than two."""
        n = rows.size
        if n < 2:
            return 0.0
        total = np.asarray(self._matrix[rows].sum(axis=0)).ravel()
        own = float(self._matrix[rows].power(2).sum())
        return float((total @ total - own) / (n * (n - 1)))

    def nearest_without(
        self, rows: NDArray[np.integer], exclude: NDArray[np.integer], words: NDArray[np.uint64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k nearest prompts to each of `rows`, never one of `exclude`, not looking at these words (hashes).

        Returns (indices, cosine), each [len(rows), min(k, n)], nearest first; ties are broken by content. An
        excluded prompt has cosine -1 and comes only when nothing else is left.
        """
        query = self._matrix[rows]
        found = np.searchsorted(self._hashes, words)
        known = found < self._hashes.size
        columns = self._order[found[known]][self._hashes[found[known]] == words[known]]
        if columns.size:
            keep = np.ones(query.shape[1])
            keep[columns] = 0.0
            query = _normalised((query @ sp.diags(keep)).tocsr())
        similarity = (query @ self._transposed).toarray().round(9) + self._tie
        similarity[:, exclude] = -1.0
        k = min(k, similarity.shape[1])
        part = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        cosine = np.take_along_axis(similarity, part, 1)
        order = np.lexsort((part, -cosine), axis=1)
        return np.take_along_axis(part, order, 1), np.take_along_axis(cosine, order, 1)


def _normalised(matrix: sp.csr_matrix) -> sp.csr_matrix:
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    result: sp.csr_matrix = (sp.diags(1.0 / np.maximum(length, 1e-12)) @ matrix).tocsr()
    return result
