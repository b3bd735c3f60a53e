"""How is one budget of false alarms shared by many streams?

A stream's evidence M, its decisions counted by n, has M - n a supermartingale while it has not changed. If an agent's
decisions each update K streams, give each the threshold A K. Then, over all streams, sum M / (A K) minus the number of
decisions over A is one too, and an alarm, which needs that sum to be 1, comes after A decisions or more on average:
whatever the dependence between streams, however many agents there are, and at no cost for strata, of which a decision
updates one.

The sum is 1 as well where k streams reach A K / k each: `e_bh` lets streams that change together alarm together, which
is the e-Benjamini-Hochberg rule (Wang and Ramdas, JRSS B 84, 2022; for streams Dandapanthula and Ramdas, 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")


def e_bh(shares: Mapping[Key, float]) -> dict[Key, float]:
    """Which streams alarm, given evidence as a share of the full threshold? With the share that was enough.

    The largest k for which k streams have 1 / k or more.

    >>> e_bh({"a": 0.6, "b": 0.5, "c": 0.1})
    {'a': 0.5, 'b': 0.5}
    >>> e_bh({"a": 0.9, "b": 0.4, "c": 0.1})
    {}
    """
    order = sorted(shares, key=lambda key: -shares[key])
    most = 0
    for k, key in enumerate(order, start=1):
        if shares[key] * k >= 1.0:
            most = k
    return {key: 1.0 / most for key in order[:most]}


def alone(shares: Mapping[Key, float]) -> dict[Key, float]:
    """Which streams alarm each on its own?

    >>> alone({"a": 1.2, "b": 0.9})
    {'a': 1.0}
    """
    return {key: 1.0 for key, share in shares.items() if share >= 1.0}


RULES = {"e-bh": e_bh, "share": alone}
