"""Text of invented words, for the scanner's tests: nothing in it means anything, so whatever is found was planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cryptosentinel.types import Message, Record

Pair = tuple[str, str]
SYLLABLES = "ba ce di fo gu la me ni po ru sa te vi wo zu ka le mi no pu".split()
COMMON, TOPIC = 40, 50


@pytest.fixture(scope="session")
def background() -> Callable[[int, int], list[Pair]]:
    """background(n, seed): n questions with answers, each about one of six topics that share their small words."""

    def make(n: int, seed: int) -> list[Pair]:
        rng = np.random.default_rng(seed)
        vocabulary = np.array(sorted({"".join(rng.choice(SYLLABLES, int(rng.integers(2, 5)))) for _ in range(900)}))
        rng.shuffle(vocabulary)
        common = vocabulary[:COMMON]
        topics = [rng.choice(vocabulary[COMMON:], TOPIC, replace=False) for _ in range(6)]
        rows = []
        for _ in range(n):
            topic = topics[int(rng.integers(6))]
            said = []
            for about, small in ((6, 5), (int(rng.integers(8, 16)), 10)):
                words = np.concatenate([rng.choice(topic, about), rng.choice(common, small)])
                rng.shuffle(words)
                said.append(" ".join(words))
            rows.append((f"{said[0]}?", f"{said[1]}."))
        return rows

    return make


@pytest.fixture(scope="session")
def records() -> Callable[[Sequence[Pair]], list[Record]]:
    """records(pairs): as the scanner takes them, numbered."""
    return lambda pairs: [
        Record(str(i), (Message("user", p), Message("assistant", a))) for i, (p, a) in enumerate(pairs)
    ]
