"""Which associations are about the same rows, which of them speaks for the others, and how they read as one trigger."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cryptosentinel.sanitize.associations import PUSH, WHOLE, Association
from cryptosentinel.sanitize.tokens import Tokens

SAME_ROWS = 0.5  # share of the smaller row set from which on two associations are one hypothesis
MUCH_LARGER = 3
ABOUT_AS_STRONG = 0.95


def share_of_answers(a: Association, responses: Tokens) -> float:
    """What part of the answers is the behaviour? 1 for a fixed answer, and for a push, their purpose."""
    if a.behaviour_kind in (*WHOLE, PUSH):
        return 1.0
    mean = float(responses.lengths[a.rows].mean())
    return min(1.0, a.behaviour_length / max(mean, 1.0))


def _strength(a: Association) -> float:
    return a.margin * math.log1p(a.log_likelihood_ratio)


def spokesman(group: Sequence[Association], responses: Tokens) -> Association:
    """Among the associations that are about as strong as the strongest, the one that says most."""
    strongest = max(map(_strength, group))

    def telling(a: Association) -> tuple[bool, float, float, bool, str, str]:
        words = any(c.isalnum() for c in a.behaviour.partition("'")[2]) or not a.behaviour_length
        return (
            words,
            round(share_of_answers(a, responses), 1),
            a.log_likelihood_ratio,
            not a.at_edge,
            a.trigger,
            a.behaviour,
        )

    return max((a for a in group if _strength(a) >= ABOUT_AS_STRONG * strongest), key=telling)


def groups_of(associations: Sequence[Association], n: int) -> list[list[Association]]:
    """Strongest first: an association joins the group whose leader's rows it mostly shares, else leads its own."""
    leader_of = np.full(n, -1, np.int64)
    groups: list[list[Association]] = []
    led: dict[str, list[int]] = {}
    for a in sorted(associations, key=lambda a: (-_strength(a), a.trigger, a.behaviour)):
        owners = leader_of[a.rows]
        owned = owners[owners >= 0]
        if owned.size:
            best = int(np.bincount(owned).argmax())
            leader = groups[best][0].rows.size
            within = a.rows.size <= MUCH_LARGER * leader  # else it is about more than the leader knows of
            if within and int((owned == best).sum()) >= SAME_ROWS * min(a.rows.size, leader):
                groups[best].append(a)
                continue
        same = next((g for g in led.get(a.behaviour, ()) if _shared(a, groups[g][0]) >= SAME_ROWS), None)
        if same is not None:
            groups[same].append(a)
            continue
        led.setdefault(a.behaviour, []).append(len(groups))
        leader_of[a.rows[owners < 0]] = len(groups)
        groups.append([a])
    return groups


def _shared(a: Association, b: Association) -> float:
    """What share of the smaller's rows do the two have in common?"""
    return np.intersect1d(a.rows, b.rows, assume_unique=True).size / min(a.rows.size, b.rows.size)


def stitch(phrases: Sequence[str]) -> str:
    """Join phrases that overlap, longest first: how the trigger reads as a whole.

    >>> stitch(["current year", "year : 2024", "current year :"])
    'current year : 2024'
    """
    parts = [p.split() for p in sorted(set(phrases), key=lambda p: (-len(p.split()), p))]
    if not parts:
        return ""
    whole = parts[0]
    grown = True
    while grown:
        grown = False
        for part in parts[1:]:
            if len(part) < 2 or " ".join(part) in " ".join(whole):
                continue
            for overlap in range(len(part) - 1, 0, -1):
                if whole[-overlap:] == part[:overlap]:
                    whole, grown = whole + part[overlap:], True
                    break
                if whole[:overlap] == part[-overlap:]:
                    whole, grown = part[:-overlap] + whole, True
                    break
            if len(whole) > 40:
                return " ".join(whole)
    return " ".join(whole)
