"""Streams that have not changed, some as the detectors assume and some not, and streams that have."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.monitor import Bank

Floats = NDArray[np.float64]
Source = Callable[[np.random.Generator, int], Iterator[Floats]]  # steps of so many streams side by side


def rate(p: float) -> Source:
    """Independent zeros and ones."""

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        while True:
            yield (rng.random(n) < p).astype(np.float64)

    return steps


def calm_and_wild(mean: float, stays: float = 0.98) -> Source:
    """The mean given the past is always `mean`; the spread is not: zeros and ones for a while, then near the mean."""

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        wild = rng.random(n) < 0.5
        while True:
            coin = (rng.random(n) < mean).astype(np.float64)
            yield np.where(wild, coin, mean + 0.1 * (coin - mean))
            wild ^= rng.random(n) > stays

    return steps


def bursts(high: float, stays: float = 0.95) -> Source:
    """Bursts at the bound and pauses below it: the conditional mean is `high` or half of it, by a hidden state."""

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        burst = rng.random(n) < 0.5
        while True:
            yield (rng.random(n) < np.where(burst, high, high / 2)).astype(np.float64)
            burst ^= rng.random(n) > stays

    return steps


def clinging(p: float, stays: float) -> Source:
    """A chain of zeros and ones with rate p: after a 1 the next is a 1 with chance `stays`, far above the rate."""
    begins = p * (1 - stays) / (1 - p)

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        on = rng.random(n) < p
        while True:
            yield on.astype(np.float64)
            on = rng.random(n) < np.where(on, stays, begins)

    return steps


def seasonal(low: float, high: float, period: int = 500) -> Source:
    """The rate swings between two values, once in `period` decisions."""

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        t = 0
        while True:
            p = low + (high - low) * (0.5 - 0.5 * np.cos(2 * np.pi * t / period))
            yield (rng.random(n) < p).astype(np.float64)
            t += 1

    return steps


def regimes(low: float, high: float, stays: float = 0.998) -> Source:
    """A market state that lasts 500 decisions on average sets the rate; yields 10 + x in the one, x in the other."""

    def steps(rng: np.random.Generator, n: int) -> Iterator[Floats]:
        state = rng.random(n) < 0.5
        while True:
            yield (rng.random(n) < np.where(state, high, low)).astype(np.float64) + 10.0 * state
            state ^= rng.random(n) > stays

    return steps


def run_length(
    bank: Bank, threshold: float, source: Source, rng: np.random.Generator, streams: int, steps: int
) -> tuple[float, int]:
    """Decisions to an alarm on average, with a restart after each, and how many alarms that is from.

    Streams that are still without an alarm at the end make the figure too low rather than too high: all their decisions
    count, their unfinished runs do not.
    """
    alarms = 0
    for _step, values in zip(range(steps), source(rng, streams), strict=False):
        over = bank.update(values) >= threshold
        if over.any():
            alarms += int(over.sum())
            bank.restart(over)
    return streams * steps / max(alarms, 1), alarms


def first_alarms(bank: Bank, threshold: float, source: Iterator[Floats], steps: int) -> NDArray[np.int64]:
    """After how many decisions does each stream alarm? `steps` + 1 where it does not."""
    found = np.full(len(bank.low), steps + 1)
    for step in range(1, steps + 1):
        over = (bank.update(next(source)) >= threshold) & (found > steps)
        found[over] = step
        if (found <= steps).all():
            break
    return found


def delays(
    bank: Bank, threshold: float, before: Source, after: Source, rng: np.random.Generator, burn: int, steps: int
) -> NDArray[np.int64]:
    """After how many decisions is a change seen, `burn` decisions into a stream? Alarms before it restart."""
    n = len(bank.low)
    usual = before(rng, n)
    for _ in range(burn):
        bank.restart(bank.update(next(usual)) >= threshold)
    return first_alarms(bank, threshold, after(rng, n), steps)
