"""Which law within bounds on every category comes closest to what is expected? What a bet on categories is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def nearest(expected: Floats, low: Floats, high: Floats) -> Floats:
    """The law p with low <= p <= high that minimises KL(expected, p), for each row of `expected`.

    It is p = clip(c * expected, low, high) with the c for which p sums to 1. For every law r within the bounds,
    sum r * expected / p <= 1: expected / p is an e-value against all of them at once, the best one for `expected`.

    Source: Gruenwald, de Heide and Koolen, Safe testing, JRSS B 86 (2024), theorem 1 (reverse information projection).

    >>> p = nearest(np.array([[0.8, 0.1, 0.1]]), np.array([0.1, 0.1, 0.0]), np.array([0.5, 0.5, 0.5]))
    >>> p.round(3).tolist()
    [[0.5, 0.25, 0.25]]
    """
    rows = expected.shape[0]
    with np.errstate(divide="ignore"):
        turns = np.concatenate([low / expected, high / expected], axis=1)  # where a cell's p begins and ends to rise
    row = np.arange(rows)
    order = turns.argsort(axis=1, kind="stable")
    sorted_turns = turns[row[:, None], order]
    slope = np.concatenate([expected, -expected], axis=1)[row[:, None], order].cumsum(axis=1)
    total = np.zeros_like(turns)
    np.cumsum((sorted_turns[:, 1:] - sorted_turns[:, :-1]) * slope[:, :-1], axis=1, out=total[:, 1:])
    total += low.sum()
    at = np.maximum((total < 1.0).sum(axis=1) - 1, 0)
    rest = 1.0 - total[row, at]
    bend = slope[row, at]
    c = sorted_turns[row, at] + np.divide(rest, bend, out=np.zeros(rows), where=bend > 1e-15)
    law: Floats = np.clip(c[:, None] * expected, low, high)
    return law


def e_values(expected: Floats, low: Floats, high: Floats) -> Floats:
    """What a bet on `expected` pays for each category, one row each; its mean is at most 1 under any law within bounds.

    >>> pays = e_values(np.array([[0.8, 0.1, 0.1]]), np.array([0.1, 0.1, 0.0]), np.array([0.5, 0.5, 0.5]))
    >>> pays.round(2).tolist()
    [[1.6, 0.4, 0.4]]
    """
    pays: Floats = expected / np.maximum(nearest(expected, low, high), 1e-300)
    return pays


def worst(pays: Floats, low: Floats, high: Floats) -> Floats:
    """How much do these payments come to on average, at most, under a law within the bounds? One number a row.

    >>> low, high = np.array([0.1, 0.1, 0.0]), np.array([0.5, 0.5, 0.5])
    >>> worst(e_values(np.array([[0.8, 0.1, 0.1]]), low, high), low, high).round(9).tolist()
    [1.0]
    """
    order = np.argsort(-pays, axis=1)
    room = np.take_along_axis(np.broadcast_to(high - low, pays.shape), order, axis=1)
    left = 1.0 - low.sum()
    before = np.concatenate([np.zeros((pays.shape[0], 1)), np.cumsum(room, axis=1)[:, :-1]], axis=1)
    given = np.clip(left - before, 0.0, room)
    most: Floats = pays @ low + (given * np.take_along_axis(pays, order, axis=1)).sum(axis=1)
    return most
