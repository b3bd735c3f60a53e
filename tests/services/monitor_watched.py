"""Decisions of a Trader who takes risks more or less often, and a watch that has learnt how often."""

from __future__ import annotations

import random

from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.types import Event


def decided(n: int, seed: int, often: float = 0.1, start: int = 0, agent: str = "Trader") -> list[Event]:
    """Decisions, of which this share is risky."""
    draw = random.Random(seed)
    return [
        Event(f"{seed}-{i}", float(i), "", agent, "decision", agent, "",
              {"attributes": {"risky": draw.random() < often, "size": draw.random()}})
        for i in range(start, start + n)
    ]  # fmt: skip


def learnt() -> Watch:
    """Has seen 300 decisions."""
    return Watch.learn(Plan(), decided(300, 0))
