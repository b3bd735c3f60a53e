"""Hypotheses applied to all rows: which rows they speak of, how many there are, what every row scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.engines import Engine
from cryptosentinel.sanitize.hypotheses import LEAST_MARGIN, Hypothesis, TrialVerdict, suspicion
from cryptosentinel.sanitize.measures import wilson_low
from cryptosentinel.sanitize.rows import POLICY, TRIGGER_ALONE, UNSURE_AT_MOST, row_value
from cryptosentinel.sanitize.tokens import EDGE
from cryptosentinel.services.scan_rows import Dataset
from cryptosentinel.services.scan_shards import Counted, Finished, Rule, finish_shard
from cryptosentinel.types import Finding, Progress, Ref

SCORED = 0.02  # share of all rows that hypotheses short of planted may bring to be scored
MOST_RULES = 24
# What stands before and after a phrase that is made of whole words.
_BEFORE, _AFTER = r"(?:^|[^\p{L}\p{N}_]|['’]\p{L}+)", r"(?:$|[^\p{L}\p{N}_])"


def placed(hypotheses: Sequence[Hypothesis], corpus: Corpus, needles: dict[bytes, str]) -> list[Hypothesis]:
    """The hypotheses with their rows among these; `needles` gets a pattern for each phrase."""
    found = []
    for h in hypotheses:
        trigger = corpus.with_trigger(h.phrase)
        rows = np.intersect1d(trigger, corpus.showing(h.behaviour_kind, h.behaviour_words))
        if rows.size:
            place = corpus.find(h.phrase)[0]
            needles[h.phrase.tobytes()] = _needle(
                corpus.prompts.words[int(place) : int(place) + h.phrase.size].to_list()
            )
            found.append(replace(h, rows=rows, trigger_rows=trigger))
    return found


def _needle(phrase: Sequence[str]) -> str:
    """A pattern that every lower-cased prompt with these words in a row matches; edges of lines match as blanks do."""
    phrase = [word for word in phrase if word != EDGE]
    before = _BEFORE if phrase[0][0].isalnum() else ""
    after = _AFTER if phrase[-1].isalnum() else ""
    return before + r"\s*".join(re.escape(w) for w in phrase) + after


def to_apply(hypotheses: Sequence[Hypothesis], needles: Mapping[bytes, str], prompts: pl.Series) -> list[int]:
    """Which hypotheses are applied to all rows? Those planted, then the most suspicious while that is cheap.

    prompts: lower-cased, a fair sample.
    """
    planted = [i for i, h in enumerate(hypotheses) if h.verdict == "planted"]
    rest = [i for i, h in enumerate(hypotheses) if h.verdict != "planted" and h.behaviour_words.size]
    chosen, left = planted, SCORED
    for i in rest[:MOST_RULES]:
        needle = needles.get(hypotheses[i].phrase.tobytes(), "")
        share = float(prompts.str.contains(needle).mean() or 0.0) if needle else 1.0  # type: ignore[arg-type]
        if share <= left:
            chosen.append(i)
            left -= share
    return chosen


def rule_of(h: Hypothesis, needles: Mapping[bytes, str]) -> Rule:
    """The hypothesis as it is sent to the shards."""
    return Rule(h.phrase, needles.get(h.phrase.tobytes(), ""), h.behaviour_kind, h.behaviour_words, row_value(h))


def finish(engine: Engine, shards: Sequence[Counted], rules: tuple[Rule, ...], report: Progress) -> list[Finished]:
    """What the rules say of every shard, in order."""
    finished: list[Finished] = []
    done, total = 0, sum(s.n for s in shards)
    for shard, one in zip(shards, engine.map(finish_shard, [(s, rules) for s in shards]), strict=True):
        finished.append(one)
        done += shard.n
        report("score", done, total)
    return finished


def everywhere(h: Hypothesis, rule: int, finished: Sequence[Finished], records: Dataset) -> Hypothesis:
    """The hypothesis with its counts over all rows. Its score can only fall: as its confidence does."""
    bases = records.bases
    trigger = np.concatenate([f.applied.with_trigger[rule] + b for f, b in zip(finished, bases, strict=False)])
    both = np.concatenate([f.applied.showing[rule] + b for f, b in zip(finished, bases, strict=False)])
    if not both.size:
        return h
    low = float(wilson_low(np.array([both.size]), np.array([trigger.size]))[0])
    contrast = min(h.contrast, low - max(h.base_rate, h.neighbour_rate))
    score = h.score
    if contrast < h.contrast:
        score = min(score, suspicion(contrast, h.share, h.override.weight if contrast >= LEAST_MARGIN else 0.0))
    planted = h.verdict == "planted" and POLICY.action(score) != "allow"
    verdict: TrialVerdict = "planted" if planted else "unsure" if h.verdict == "planted" else h.verdict
    return replace(
        h, rows=both, trigger_rows=trigger, support=int(both.size), confidence=both.size / trigger.size,
        score=score, contrast=contrast, verdict=verdict,
    )  # fmt: skip


def row_scores(
    records: Dataset, finished: Sequence[Finished], applied: Sequence[int], hypotheses: Sequence[Hypothesis],
    threshold: float, raised: Mapping[int, float],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[Finding, ...]]:  # fmt: skip
    """Every row's score, what is quarantined, and why; raised: scores of rows that the judge flagged by themselves."""
    scores, owner = np.zeros(len(records)), np.full(len(records), -1, np.int64)
    for base, one in zip(records.bases.tolist(), finished, strict=False):
        rows, score, rule = one.applied.scored([row_value(hypotheses[i]) for i in applied])
        scores[base + rows], owner[base + rows] = score, np.asarray(applied, np.int64)[rule]
        for k, i in enumerate(applied):
            if hypotheses[i].verdict == "planted":  # the trigger alone is a hint, no proof
                hinted = base + one.applied.with_trigger[k]
                hint = min(TRIGGER_ALONE * hypotheses[i].score, UNSURE_AT_MOST)
                scores[hinted] = np.maximum(scores[hinted], hint)
    flagged = scores >= threshold
    for row, to in raised.items():
        flagged[row] = True
        if to > scores[row]:
            scores[row], owner[row] = to, -1
    findings = []
    for row in np.flatnonzero(flagged).tolist():
        reason = "the judge finds this row malicious"
        if owner[row] >= 0:
            h = hypotheses[owner[row]]
            reason = f"the prompt {h.condition} and the answer {h.behaviour}, as in {h.support} rows"
        evidence = {"id": records[row].id, "hypothesis": int(owner[row])}
        findings.append(Finding("scan", 1, Ref("row", str(row)), float(scores[row]), reason=reason, evidence=evidence))
    return scores, flagged, tuple(findings)


def ids_of(records: Dataset, finished: Sequence[Finished]) -> pl.Series:
    """The id of every row: its own or, as `read_record` has it, its number."""
    numbers = pl.Series(records.numbers()).cast(pl.String)
    if all(f.ids is None for f in finished):
        return numbers
    own: list[str | None] = []
    for shard, one in zip(records.shards, finished, strict=True):
        own += one.ids or [None] * shard.n
    return pl.DataFrame({"own": pl.Series(own, dtype=pl.String), "number": numbers}).select(
        pl.coalesce("own", "number")
    )["own"]
