"""Decisions for the tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from cryptosentinel.types import Event


def decision(n: int, agent: str = "Trader", time: float | None = None, **attributes: Any) -> Event:
    """One decision with these attributes."""
    body = {"attributes": attributes}
    return Event(f"{agent}-{n}", float(n if time is None else time), "", agent, "decision", agent, "", body)


def decisions(n: int, seed: int, risky: float = 0.1, coin: float = 0.02, start: int = 0) -> Iterator[Event]:
    """Decisions with an asset, a size and a flag; `coin` is how often the asset is a rare one."""
    draw = random.Random(seed)
    for i in range(start, start + n):
        asset = "ORVA" if draw.random() < coin else draw.choice(["BTC", "BTC", "ETH", "SOL"])
        yield decision(i, asset=asset, size=draw.gammavariate(2, 40), risky=draw.random() < risky, venue="dex")
