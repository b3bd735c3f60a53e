"""Do several phrases, none of which is sure alone, set off one behaviour? So does a way of writing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.associations import above
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import (
    EXACT,
    LEAST_COMMON,
    LEAST_MARGIN,
    LEAST_REPLACED,
    MOST_COMMON,
    Hypothesis,
    suspicion,
)
from cryptosentinel.sanitize.measures import log_likelihood_ratio, wilson_low
from cryptosentinel.sanitize.override import Rules
from cryptosentinel.sanitize.rows import POLICY

LEAST_PHRASES = 3
MOST_BY_ONE = 0.7
NAMED = 8  # of the phrases are named


def union_hypotheses(hypotheses: Sequence[Hypothesis], rules: Rules, corpus: Corpus) -> list[Hypothesis]:
    """Which phrases suspend a rule together?

    A style shows in many words. Each is held against the nearest prompts without it, which have the others and are
    answered alike; and each is in too few rows to suspend a rule for sure. All of those that set off one behaviour,
    taken as one trigger, are looked at again: they are suspected if a rule that holds elsewhere fails wherever they
    are. Topics come with many words too, but suspend no rule. Not where answers are labels: their phrases are many.

    What is sure alone has its rows already, and a phrase that owes its part to others' rows is left out.
    """
    groups: dict[tuple[str, bytes], list[Hypothesis]] = defaultdict(list)
    sure: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for h in hypotheses:
        if h.trigger_kind != "phrase" or not h.behaviour_words.size or h.behaviour_kind in EXACT:
            continue
        behaviour = h.behaviour_kind, h.behaviour_words.tobytes()
        if POLICY.action(h.score) != "allow":
            sure[behaviour].update(h.trigger_rows.tolist())
        elif h.contrast > 0:
            groups[behaviour].append(h)
    own = [on_their_own(group, _showing(group[0], corpus), sure[told]) for told, group in groups.items()]
    enough = [group for group in own if len(group) >= LEAST_PHRASES]
    found = [_union(group, rules, corpus, len(enough)) for group in enough]
    return [h for h in found if h is not None]


def on_their_own(group: Sequence[Hypothesis], shows: NDArray[np.integer], covered: set[int]) -> list[Hypothesis]:
    """Those of the phrases that come with the behaviour in most of the rows that no surer one has.

    shows: the rows with the behaviour. covered: the rows of what is surer than all of the group.
    """
    shown = set(shows.tolist())
    covered, kept = set(covered), []
    for h in sorted(group, key=lambda h: (-h.confidence, -h.support, h.trigger)):
        own = set(h.trigger_rows.tolist()) - covered
        if 2 * len(own & shown) > len(own):
            kept.append(h)
            covered |= own
    return kept


def _union(group: Sequence[Hypothesis], rules: Rules, corpus: Corpus, looked_at: int) -> Hypothesis | None:
    """These phrases as one trigger; None if together they suspend nothing."""
    group = sorted(group, key=lambda h: (-h.support, h.trigger))
    with_trigger = np.unique(np.concatenate([h.trigger_rows for h in group]))
    if with_trigger.size > max(MOST_COMMON * corpus.n, LEAST_COMMON):
        return None  # would not be hidden
    if group[0].trigger_rows.size > MOST_BY_ONE * with_trigger.size:
        return None  # one phrase is no union
    override = rules.overridden_by(with_trigger)
    override = replace(override, p=min(1.0, override.p * looked_at))
    if override.weight <= 0:
        return None
    leader = group[0]
    shows = _showing(leader, corpus)
    rows = np.intersect1d(with_trigger, shows)
    elsewhere = (shows.size - rows.size) / (corpus.n - with_trigger.size)
    low = float(wilson_low(np.array([rows.size]), np.array([with_trigger.size]))[0])
    contrast = above(low, elsewhere, leader.behaviour_kind)
    g2 = log_likelihood_ratio(np.array([rows.size]), np.array([with_trigger.size]), np.array([shows.size]), corpus.n)
    share = max(h.share for h in group)
    if contrast < LEAST_MARGIN or share < LEAST_REPLACED:  # what is added to an answer suspends nothing
        return None
    h = replace(
        leader,
        trigger=any_of(group),
        support=int(rows.size),
        confidence=rows.size / with_trigger.size,
        base_rate=elsewhere,
        neighbour_rate=0.0,
        contrast=contrast,
        share=share,
        log_likelihood_ratio=float(g2[0]),
        q_value=max(h.q_value for h in group),
        rows=rows,
        trigger_rows=with_trigger,
        trigger_words=np.array([rarest(h.phrase, corpus) for h in group], np.uint64),
        phrase=np.zeros(0, np.uint64),
        score=suspicion(contrast, share, override.weight),
        override=override,
        trigger_kind="pool",
        adjudications=(),
        evidence={"phrases": float(len(group))},
    )
    return replace(h, adjudications=(override.finding(h.ref),))


def _showing(h: Hypothesis, corpus: Corpus) -> NDArray[np.int64]:
    return corpus.showing(h.behaviour_kind, h.behaviour_words)


def any_of(group: Sequence[Hypothesis]) -> str:
    """How a trigger of several phrases reads; a comma within a phrase would part it."""
    return "any of: " + ", ".join(" ".join(h.trigger.replace(",", " ").split()) for h in group[:NAMED])


def rarest(phrase: NDArray[np.uint64], corpus: Corpus) -> np.uint64:
    """The word of a phrase that the fewest prompts have."""
    word: np.uint64 = min(phrase, key=lambda word: (corpus.with_trigger(np.array([word])).size, int(word)))
    return word
