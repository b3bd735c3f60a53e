"""Any number of rows from the few thousand of the background files: every word may change, and new words keep coming.

Each row is one of the background's with half of its rarer words and three in ten of its common ones replaced. A rarer
word is replaced by a draw from a heavy-tailed law (tail exponent 0.6), whose first ranks are the background's own words
and whose later ones are made up: the vocabulary grows with the number of rows as Heaps' law has it. Texts lose their
sense this way and keep what a scanner's speed depends on: lengths, layout, word frequencies.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

FILES = ("alpaca_9k", "alpaca_extra")
FIELDS = ("instruction", "input", "output")
RARE_CHANGED, COMMON_CHANGED = 0.5, 0.3
RARE = 0.01  # a word in fewer rows than this is one of the rarer
TAIL, HEAD = 0.6, 300.0  # P(rank > x) = (1 + x / HEAD) ** -TAIL
STEP = 10_000
_WORD = re.compile(r"[^\W_]+")
_SYLLABLES = [c + v for c in "bdfghklmnprstvz" for v in "aeiou"]

Cut = tuple[list[str], list[tuple[int, bool]]]  # pieces of a text; which of them are words, and whether a rare one


class Varied:
    """The background, cut into words that may change and the rest that may not."""

    def __init__(self, data: Path) -> None:
        """Read the background of the evaluation data."""
        self.rows = []
        for name in FILES:
            with gzip.open(data / "poison" / "background" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
                self.rows += map(json.loads, lines)
        seen: Counter[str] = Counter()
        for row in self.rows:
            seen.update({w.lower() for key in FIELDS for w in _WORD.findall(row[key])})
        ranked = sorted(seen, key=lambda w: (-seen[w], w))
        self.rare = [w for w in ranked if seen[w] < RARE * len(self.rows)]
        self.common = [w for w in ranked if seen[w] >= RARE * len(self.rows)]
        share = np.array([seen[w] for w in self.common], float)
        self.share = share / share.sum()
        known = {w: True for w in self.rare} | dict.fromkeys(self.common, False)
        self.cuts = [[_cut(row[key], known) for key in FIELDS] for row in self.rows]
        self.words = np.array([sum(len(c[1]) for c in cuts) for cuts in self.cuts])
        self._coined: dict[int, str] = {}

    def lines(self, seed: int, part: int, count: int) -> str:
        """This many rows as JSON lines, the same for the same seed and part."""
        rng = np.random.default_rng([seed, part])
        chosen = rng.integers(0, len(self.rows), count)
        total = int(self.words[chosen].sum())
        draw = rng.random(total).tolist()
        ranks = np.minimum(HEAD * (rng.random(total) ** (-1 / TAIL) - 1), 1e12).astype(np.int64).tolist()
        common = rng.choice(len(self.common), total, p=self.share).tolist()
        at, out = 0, []
        for which in chosen.tolist():
            texts = []
            for pieces, places in self.cuts[which]:
                changed = pieces.copy()
                for place, rare in places:
                    if draw[at] < (RARE_CHANGED if rare else COMMON_CHANGED):
                        word = self._word(ranks[at]) if rare else self.common[common[at]]
                        changed[place] = word.capitalize() if pieces[place][0].isupper() else word
                    at += 1
                texts.append("".join(changed))
            out.append(json.dumps(dict(zip(FIELDS, texts, strict=True)), ensure_ascii=False) + "\n")
        return "".join(out)

    def _word(self, rank: int) -> str:
        """The word of this rank: one of the background's, or a made-up one."""
        if rank < len(self.rare):
            return self.rare[rank]
        word = self._coined.get(rank)
        if word is None:
            left, word = rank - len(self.rare), "n"
            while left:
                left, syllable = divmod(left, len(_SYLLABLES))
                word += _SYLLABLES[syllable]
            if len(self._coined) < 1 << 20:
                self._coined[rank] = word
        return word


def _cut(text: str, known: dict[str, bool]) -> Cut:
    pieces: list[str] = []
    places: list[tuple[int, bool]] = []
    at = 0
    for match in _WORD.finditer(text):
        rare = known.get(match[0].lower())
        if rare is not None:
            pieces += [text[at : match.start()], match[0]]
            places.append((len(pieces) - 1, rare))
            at = match.end()
    return [*pieces, text[at:]], places


def parts(data: Path, rows: int, seed: int, processes: int = 2) -> Iterator[str]:
    """The rows in order, `STEP` at a time."""
    steps = [(seed, i, min(STEP, rows - i * STEP)) for i in range((rows + STEP - 1) // STEP)]
    with ProcessPoolExecutor(processes, initializer=_start, initargs=(data,)) as pool:
        yield from pool.map(_lines, steps)


_varied: list[Varied] = []


def _start(data: Path) -> None:
    _varied[:] = [Varied(data)]


def _lines(step: tuple[int, int, int]) -> str:
    return _varied[0].lines(*step)
