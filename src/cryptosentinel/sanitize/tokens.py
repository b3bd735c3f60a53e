"""Texts as flat token arrays: the one tokenisation every feature and detector shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.types import FIELD

# A word with an optional apostrophe part, or any single mark. Case is folded; spacing does not count.
PATTERN = r"[\p{L}\p{N}_]+(?:['’]\p{L}+)?|[^\s\p{L}\p{N}_]"
APOSTROPHE_PART = r"['’]\p{L}+$"
EDGE = "\n"  # as a word: a line begins or ends here
_SEED = 20511
EDGE_HASH = np.uint64(pl.Series([EDGE]).hash(_SEED)[0])
_MIX = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Tokens:
    """The tokens of n texts, flat.

    row: int32[t], which text a token belongs to, ascending. hash: uint64[t], the same for the same word in every
    shard and run. words: the t words themselves.

    >>> t = tokenize(["Buy now!", "buy"])
    >>> t.row.tolist(), t.words.to_list(), bool(t.hash[0] == t.hash[3])
    ([0, 0, 0, 1], ['buy', 'now', '!', 'buy'], True)
    """

    n: int
    row: NDArray[np.int32]
    hash: NDArray[np.uint64]
    words: pl.Series

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """How many tokens has each text? int64[n]."""
        return np.bincount(self.row, minlength=self.n).astype(np.int64)

    @cached_property
    def stems(self) -> NDArray[np.uint64]:
        """Hashes of the words without what follows an apostrophe: "vela's" is about Vela. uint64[t]."""
        return self.words.str.replace(APOSTROPHE_PART, "").hash(_SEED).to_numpy().astype(np.uint64)

    def phrase(self, position: int, length: int) -> str:
        """The words at [position, position + length), joined by blanks; edges of lines and fields are not shown."""
        return " ".join(w for w in self.words[position : position + length].to_list() if w not in (EDGE, FIELD))


def text_keys(tokens: Tokens) -> NDArray[np.uint64]:
    """One key per text, equal for texts of the same words in the same order: uint64[n]."""
    lengths = tokens.lengths
    start = np.cumsum(lengths) - lengths
    place = (np.arange(tokens.row.size) - start[tokens.row]).astype(np.uint64)
    with np.errstate(over="ignore"):
        weighted = (tokens.hash + place * _MIX) * np.uint64(0xBF58476D1CE4E5B9)
        weighted = (weighted ^ (weighted >> np.uint64(29))) * _MIX  # not linear in the place: swapped words differ
        total = np.r_[np.uint64(0), np.cumsum(weighted, dtype=np.uint64)]
        keys: NDArray[np.uint64] = total[start + lengths] - total[start]
    return keys


def tokenize(texts: Sequence[str], *, edges: bool = False) -> Tokens:
    r"""Split texts into case-folded words and marks; never fails on odd Unicode.

    edges: with the word EDGE before and after every line that is not empty, so that a phrase can be one that a line
    begins or ends with.

    >>> tokenize(["Now go.\n \nNow!"], edges=True).words.to_list()
    ['\n', 'now', 'go', '.', '\n', 'now', '!', '\n']
    """
    clean = [t.encode("utf-8", "replace").decode() for t in texts]
    if edges:
        clean = [f"\n{t}\n" for t in clean]
    frame = (
        pl.DataFrame({"t": pl.Series(clean, dtype=pl.String)})
        .with_row_index("r")
        .with_columns(_split(pl.col("t").str.to_lowercase(), edges))
        .explode("t")
        .drop_nulls()
    )
    words = frame["t"]
    return Tokens(
        len(clean),
        frame["r"].to_numpy().astype(np.int32),
        words.hash(_SEED).to_numpy().astype(np.uint64),
        words,
    )


def _split(text: pl.Expr, edges: bool) -> pl.Expr:
    if not edges:
        return text.str.extract_all(PATTERN)
    return text.str.replace_all(r"\s*\n\s*", EDGE).str.extract_all(f"{PATTERN}|{EDGE}")
