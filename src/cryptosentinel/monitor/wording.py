"""How unlike the baseline's texts is this one? Counted letter by letter, without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

CELLS = 512
GRAM = 4
LONGEST = 4000


class Wording:
    """The baseline's usual wording: how often each run of four letters occurs, hashed to 512 numbers.

    The distance of a text is 1 minus the cosine of its counts (square roots, so that no run drowns the others) and the
    baseline's, from 0 to 1. It sees other words, another tone or language; it does not see another meaning in the same
    words. A model's embedding can be measured outside and handed in as a number.

    >>> usual = Wording.learn(["Hold. RSI is neutral.", "Hold. RSI is high, wait."])
    >>> usual.distance("Hold. RSI is low.") < usual.distance("Go all in on ORVA right now!")
    True
    """

    def __init__(self, centre: NDArray[np.float64]) -> None:
        """Compare with this vector of length 1, or 0 where there was no text."""
        self.centre = centre

    @classmethod
    def learn(cls, texts: Sequence[str]) -> Wording:
        """From the baseline's texts."""
        total = np.zeros(CELLS)
        for text in texts:
            total += _counted(text)
        length = float(np.linalg.norm(total))
        return cls(total / length if length else total)

    def distance(self, text: str) -> float:
        """From 0, the usual wording, to 1, nothing in common."""
        return min(1.0, max(0.0, 1.0 - float(_counted(text) @ self.centre)))

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"centre": self.centre.tolist()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Wording:
        """The wording whose `state` this is."""
        return cls(np.array(state["centre"], dtype=np.float64))


def _counted(text: str) -> NDArray[np.float64]:
    """A vector of length 1."""
    data = " ".join(text[:LONGEST].casefold().split()).encode("utf-8", "replace")
    cells = np.zeros(CELLS)
    for i in range(max(len(data) - GRAM + 1, 1)):
        cells[crc32(data[i : i + GRAM]) % CELLS] += 1.0
    cells = np.sqrt(cells)
    return cells / float(np.linalg.norm(cells))
