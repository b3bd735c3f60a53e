"""Attacks on the desk, one file each: how they come in, and when their goal counts as reached.

Every goal test is a pure function of what the session left behind (`Record`): no defence has a say in it. All of them
were written before any defence was attached to the desk. Payloads are harmless: paper trades of tokens that
do not exist.
"""

from __future__ import annotations

from cryptosentinel.desk.scenarios import (
    colluding_message,
    injected_news,
    judge_injection,
    poisoned_analyst,
    poisoned_memory,
    rule_tampering,
    slow_drift,
    structuring,
)
from cryptosentinel.desk.scenarios.scenario import Scenario

__all__ = [
    "Scenario", "colluding_message", "injected_news", "judge_injection", "poisoned_analyst", "poisoned_memory",
    "rule_tampering", "slow_drift", "structuring",
]  # fmt: skip
