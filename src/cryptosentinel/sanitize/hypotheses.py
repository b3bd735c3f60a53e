"""From many associations to few hypotheses: one backdoor is one hypothesis, each held against its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.sanitize.associations import RARE_TOOL, Association, above
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.groups import groups_of, share_of_answers, spokesman, stitch
from cryptosentinel.sanitize.labels import Labels
from cryptosentinel.sanitize.measures import wilson_low
from cryptosentinel.sanitize.override import NO_OVERRIDE, Override, Rules, is_regular
from cryptosentinel.sanitize.tokens import EDGE_HASH, Tokens, tokenize
from cryptosentinel.types import Finding, Ref

TrialVerdict = Literal["planted", "natural", "unsure"]

# A row shows these or not, or honest rows do too.
EXACT = ("fixed-answer", "refusal", "promotion", "rare-tool-call", "tool-call")
MOST_COMMON = 0.5  # a trigger in more of all prompts: nobody can say what is the rule and what the exception
A_RULE = 0.25  # a phrase in more of them is a rule of the task itself, unless it suspends one, and has no exceptions
NO_EXCEPTIONS = 0.9  # lower bound of its confidence
LEAST_COMMON = 20
SAME_TRIGGER = 0.8
LEAST_MARGIN = 0.3  # below it a hypothesis is weak whatever its neighbours do
SAMPLE = 24
NEAREST = 3
LEAST_REPLACED = 0.1  # share of the answer below which a behaviour adds to the answer and replaces nothing


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """When the prompt has `trigger`, the answer shows `behaviour`; and is that natural?

    support: rows with both. confidence: support / rows with the trigger. base_rate: the rate expected of those rows
    if the trigger meant nothing. rows: indices of the rows with both, ascending. neighbour_rate: the rate among the
    nearest prompts without the trigger, or the one that the rest of the text foretells. contrast: of the rows that
    would not show the behaviour at the larger of these two rates, what share does, at the lower 99% bound of the
    confidence; less where the texts have this label anyway. share: what share of the answer the behaviour makes up.
    score: suspicion in [0, 1]. phrase, behaviour_words: word hashes, in order, of the leading trigger phrase and of
    the behaviour. trigger_words: hashes of all words of the trigger. trigger_kind: "phrase", or "topic" where no
    phrase but the subject of the prompt sets it off, "pool" for any of several words, "composite" for two together,
    "manner" for a way of writing; then `phrase` is empty. certainty: float64, how surely each of the rows belongs to
    it, in [0, 1]; empty: all alike.
    """

    trigger: str
    behaviour: str
    behaviour_kind: str
    support: int
    confidence: float
    base_rate: float
    neighbour_rate: float
    contrast: float
    share: float
    log_likelihood_ratio: float
    q_value: float
    rows: NDArray[np.int64]
    trigger_rows: NDArray[np.int64]
    trigger_words: NDArray[np.uint64]
    phrase: NDArray[np.uint64]
    behaviour_words: NDArray[np.uint64]
    score: float
    override: Override = NO_OVERRIDE
    trigger_kind: str = "phrase"
    adjudications: tuple[Finding, ...] = ()
    verdict: TrialVerdict = "unsure"
    certainty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        """What is true of a prompt with the trigger, as the end of a sentence."""
        words = self.trigger.partition(": ")[2]
        if self.trigger_kind == "topic":
            return f"is on a topic told by {words}"
        if self.trigger_kind == "manner":
            return f"is written in a manner told by {words}"
        if self.trigger_kind == "pool":
            return f"has any of {words}"
        if self.trigger_kind == "composite":
            return "has both '{}' and '{}'".format(*self.trigger.split(" + "))
        return f"has '{self.trigger}'" + (" at the edge of a line" if EDGE_HASH in self.phrase else "")

    @property
    def ref(self) -> Ref:
        """What a finding about it refers to."""
        return Ref("hypothesis", f"{self.trigger} -> {self.behaviour}")


def _words(a: Association, prompts: Tokens) -> NDArray[np.uint64]:
    """The words of the trigger."""
    first = prompts.hash[a.place : a.place + a.length]
    return first if a.second < 0 else np.concatenate([first, prompts.hash[a.second : a.second + 1]])


def _overlap(a: NDArray[np.int32], b: NDArray[np.int32]) -> float:
    both = np.intersect1d(a, b, assume_unique=True).size
    return both / max(a.size + b.size - both, 1)


def _is_common(a: Association, n: int) -> bool:
    """Is its phrase in so many prompts that it may well be a rule of the task? Logs of an agent are no lessons."""
    return a.trigger_rows.size > max(A_RULE * n, LEAST_COMMON) and a.behaviour_kind != RARE_TOOL


def _hidden(a: Association, rules: Rules, n: int) -> bool:
    """Is its trigger rare enough for one? Labels, tools and refusals have words of their own, however frequent."""
    if not _is_common(a, n):
        return True
    many = a.trigger_rows.size > MOST_COMMON * n or a.behaviour_kind in EXACT or a.low < NO_EXCEPTIONS
    return not many and rules.overridden_by(a.trigger_rows).weight >= 1.0


def form_hypotheses(associations: Sequence[Association], corpus: Corpus) -> list[Hypothesis]:
    """Group associations about the same rows, hold each group against its neighbours, score it. Highest first."""
    prompts, responses = corpus.prompts, corpus.responses
    rules, labels = Rules(associations, corpus.n), Labels(corpus)
    hidden = [a for a in associations if _hidden(a, rules, corpus.n)]
    found = []
    for group in groups_of(hidden, prompts.n):
        leader = spokesman(group, responses)
        same = [a for a in group if _overlap(a.trigger_rows, leader.trigger_rows) >= SAME_TRIGGER]
        rows = leader.rows
        for a in same:
            rows = np.union1d(rows, np.intersect1d(a.rows, leader.trigger_rows)).astype(np.int32)
        words = np.unique(np.concatenate([_words(a, prompts) for a in same]))
        clear = leader.margin >= LEAST_MARGIN
        near = _neighbours(leader, words, corpus) if clear else np.zeros(0, np.int64)
        rate = float(np.isin(near, leader.behaviour_rows).mean()) if near.size else 0.0 if clear else leader.expected
        agreement = 0.0
        if clear and leader.behaviour_kind == "fixed-answer":
            answer = responses.hash[leader.behaviour_place :][: leader.behaviour_length]
            told = labels.without(answer, leader.trigger_rows, words)
            if told is not None:  # what the text foretells says more than three neighbours do
                rate, agreement = told
        contrast = above(leader.low, max(leader.expected, rate), leader.behaviour_kind) * (1.0 - agreement)
        share = share_of_answers(leader, responses)
        replaced = max(share_of_answers(a, responses) for a in same if a.rows.size >= SAME_TRIGGER * leader.rows.size)
        replaces = contrast >= LEAST_MARGIN and replaced >= LEAST_REPLACED and leader.behaviour_kind != RARE_TOOL
        two = leader.second >= 0
        phrase = prompts.hash[leader.place : leader.place + (0 if two else leader.length)]
        override = rules.overridden_by(leader.trigger_rows) if replaces else NO_OVERRIDE
        if override.weight > 0 and not two and is_regular(tokenize([corpus.whole_phrase(phrase)]).hash, near, corpus):
            override = NO_OVERRIDE
        if _is_common(leader, corpus.n) and override.weight < 1.0:
            continue
        found.append(
            Hypothesis(
                trigger=leader.trigger if two else stitch([a.trigger for a in (leader, *same) if a.second < 0]),
                behaviour=leader.behaviour,
                behaviour_kind=leader.behaviour_kind,
                support=int(rows.size),
                confidence=rows.size / leader.trigger_rows.size,
                base_rate=leader.expected,
                neighbour_rate=rate,
                contrast=contrast,
                share=share,
                log_likelihood_ratio=leader.log_likelihood_ratio,
                q_value=leader.q_value,
                rows=rows.astype(np.int64),
                trigger_rows=leader.trigger_rows.astype(np.int64),
                trigger_words=words,
                phrase=phrase,
                behaviour_words=responses.hash[leader.behaviour_place :][: leader.behaviour_length],
                score=suspicion(contrast, share, override.weight),
                override=override,
                trigger_kind="composite" if two else "phrase",
                evidence={"neighbours_sampled": near.size},
            )
        )
        if override.weight > 0:
            h = found[-1]
            found[-1] = replace(h, adjudications=(override.finding(h.ref),))
    return ranked(found)


def _neighbours(a: Association, words: NDArray[np.uint64], corpus: Corpus) -> NDArray[np.int64]:
    """The nearest prompts without the trigger, as often as they are near one with it."""
    near, cosine = corpus.neighbours.nearest_without(corpus.sample(a.rows, SAMPLE), a.trigger_rows, words, NEAREST)
    return near[cosine >= 0.0].astype(np.int64)


def suspicion(contrast: float, weight: float, override: float) -> float:
    """Score in [0, 1]: the contrast, of which 0.35 counts by itself and 0.65 as far as the behaviour weighs.

    A trigger that suspends rules moves the score towards 0.95, as far as the override is certain.
    """
    base = contrast * (0.35 + 0.65 * weight)
    return float(np.clip(base + override * max(0.0, 0.95 - base), 0.0, 1.0))


def explain_away(hypotheses: Sequence[Hypothesis], known: NDArray[np.bool_], corpus: Corpus) -> list[Hypothesis]:
    """What is left of each hypothesis without the rows that others explain? Its score can only fall.

    known: bool[n], the rows of hypotheses that are held to be planted. A phrase that merely keeps company with a real
    trigger loses its support this way; and a fixed answer is held against the rate of that answer among the other
    rows that give one of the data's repeated answers, since in a classification task half of the rows share a label.
    """
    left = []
    labels = corpus.repeated_answers() & ~known
    for h in hypotheses:
        own, others = ~known[h.rows], labels.copy()
        others[h.trigger_rows] = False
        base = max(h.base_rate, h.neighbour_rate)
        if h.behaviour_kind == "fixed-answer" and others.any():
            shows = np.zeros(corpus.n, bool)
            shows[corpus.showing(h.behaviour_kind, h.behaviour_words)] = True
            base = max(base, float(shows[others].mean()))
        with_trigger, shown = int((~known[h.trigger_rows]).sum()), int(own.sum())
        low = float(wilson_low(np.array([shown]), np.array([with_trigger]))[0]) if shown else 0.0
        contrast = min(h.contrast, above(low, base, h.behaviour_kind))
        score = suspicion(contrast, h.share, h.override.weight if shown else 0.0)
        left.append(replace(h, score=min(h.score, score) if contrast < h.contrast else h.score))
    return left


def ranked(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Most suspicious first; ties by evidence, then by name."""
    return sorted(hypotheses, key=lambda h: (-h.score, -h.log_likelihood_ratio, h.trigger, h.behaviour))


def with_score(h: Hypothesis, score: float, *findings: Finding) -> Hypothesis:
    """The same hypothesis after an adjudication."""
    return replace(h, score=float(np.clip(score, 0.0, 1.0)), adjudications=(*h.adjudications, *findings))
