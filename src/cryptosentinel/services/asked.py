"""Was the reference model asked anything? One that was never asked has vouched for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.adjudicate.surprise import Reference
from cryptosentinel.sanitize.reading import Encoder


class Noted:
    """A reference model that answers as it does; `asked` says whether it ever had to."""

    def __init__(self, model: Reference) -> None:
        """Nobody has asked yet."""
        self.name = model.name
        self.asked = False
        self._model = model

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """As `Reference.log_probs`."""
        self.asked = True
        return self._model.log_probs(pairs)


class NotedEncoder(Noted):
    """The same of a model that also reads texts."""

    def __init__(self, model: Reference, encoder: Encoder) -> None:
        """Nobody has asked yet."""
        super().__init__(model)
        self._encoder = encoder

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Encoder.encode`."""
        self.asked = True
        return self._encoder.encode(texts)


def noted(model: Reference) -> Noted:
    """The same model, from now on noting whether it is asked."""
    return NotedEncoder(model, model) if isinstance(model, Encoder) else Noted(model)


def named(model: str, asked: bool | None) -> str:
    """How is a reference model called where results are told? `asked`: None where nobody noted it.

    >>> named("gemma-3-270m", False), named("gemma-3-270m", True), named("none", False)
    ('gemma-3-270m (not asked)', 'gemma-3-270m', 'none')
    """
    return f"{model} (not asked)" if asked is False and model not in ("", "none") else model
