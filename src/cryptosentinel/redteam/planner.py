"""The built-in driver of a campaign: no language model, the same plan for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptosentinel import registry
from cryptosentinel.redteam.agent import Campaign
from cryptosentinel.redteam.data import MOST_POISONED, SHARE
from cryptosentinel.redteam.draft import LEAST_POISONED

NAME = "planner"
MOST_BUILDS = 3  # of one trigger: rows that reflection dropped are written again
ENOUGH = 0.8  # share of the wanted rows with which it goes on to train
MORE = 1.5  # how many times as many rows after an attempt that fell short


def plan(campaign: Campaign) -> None:
    """Drive the campaign to its report.

    First the attack of the scope with the seed's variant, then its other variants. Rows that reflection drops are
    written again, up to three times; a trigger with which too few pass is given up without training. If the attack
    success rate falls short of the goal, the next attempt has half as many rows again, until the rounds are used up.
    """
    wanted = min(MOST_POISONED, max(LEAST_POISONED, campaign.ordinary // SHARE))
    for variant in _variants(campaign):
        chosen: dict[str, Any] = {"attack": campaign.scope.attack, "variant": variant}
        if _failed(campaign.call("propose_trigger", chosen)):
            break
        if not _write(campaign, wanted):
            continue
        if _failed(campaign.call("fine_tune")):
            break
        found = campaign.call("evaluate")
        if _failed(found) or found["goal_reached"] or not found["rounds_left"]:
            break
        wanted = min(MOST_POISONED, round(MORE * wanted))
    if not campaign.ended:
        campaign.call("report")


def _write(campaign: Campaign, wanted: int) -> bool:
    """Write rows until so many have passed reflection, or nearly so many after three goes."""
    passed = 0
    for _ in range(MOST_BUILDS):
        if _failed(campaign.call("build_poison", {"count": wanted - passed})):
            return False
        reflected = campaign.call("reflect")
        if _failed(reflected):
            return False
        passed = reflected["rows"]
        if passed >= wanted:
            break
    return passed >= max(LEAST_POISONED, ENOUGH * wanted)


def _variants(campaign: Campaign) -> Iterator[str]:
    """The variants of the scope's attack: the one named or the seed's first, then those after it in order."""
    scope = campaign.scope
    known = list(registry.lookup("attack", scope.attack).target.variants)
    first = known.index(registry.lookup("attack", scope.attack).target(scope.seed, scope.variant).variant)
    yield from known[first:] + known[:first]


def _failed(result: dict[str, Any]) -> bool:
    return "error" in result
