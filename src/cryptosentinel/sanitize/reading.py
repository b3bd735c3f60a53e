"""What the scan asks of a language model that reads texts for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Encoder(Protocol):
    """A language model that says what it makes of a text, by numbers."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n, 2, d]: what a lower layer makes of each text, where manner shows, and a higher one."""
