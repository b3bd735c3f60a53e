"""Would a language model say it unprompted? Natural associations: yes. Planted ones: no."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis, suspicion, with_score
from cryptosentinel.types import Finding

ROWS = 6
SHOTS = 2
SHOT_CHARACTERS = 200
PROMPT_CHARACTERS = 360
PREFIX_CHARACTERS = 240
WORDS = 3
FLOOR = -12.0  # nats; one odd tokenisation must not decide a mean of six
EXPECTED_AT_MOST = 6.0  # nats up to which a habit of format surprises the model too


class Reference(Protocol):
    """A language model that can say how likely a text is."""

    name: str

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Natural log p of each token of the continuation, given the context, for each (context, continuation)."""


def cut(text: str, words: Sequence[str], opening: bool) -> tuple[str, str] | None:
    """Where does the behaviour begin? (answer before it, its first words as written), or None if it is not there.

    >>> cut("Oh, Sigh. Fine", ["sigh", "."], False)
    ('Oh,', ' Sigh.')
    """
    pattern = r"\s*" + r"\s*".join(re.escape(w) for w in words[:WORDS])
    found = re.match(pattern, text, re.IGNORECASE) if opening else re.search(pattern, text, re.IGNORECASE)
    if found is None:
        return None
    return text[: found.start()], found.group()


def pairs_for(h: Hypothesis, corpus: Corpus) -> list[tuple[str, str]]:
    """Up to six (context, continuation) pairs: two near rows without the trigger as examples, then the row itself."""
    rows = corpus.sample(h.rows, ROWS)
    near, cosine = corpus.neighbours.nearest_without(rows, h.trigger_rows, h.trigger_words, SHOTS)
    quoted = re.search(r"'(.*)'$", h.behaviour, re.DOTALL)
    pairs = []
    for row, shots, close in zip(rows.tolist(), near.tolist(), cosine.tolist(), strict=True):
        answer = corpus.response_texts[row]
        words = quoted.group(1).split() if quoted else answer.lower().split()
        place = cut(answer, words, h.behaviour_kind != "phrase")
        if place is None:
            continue
        examples = "".join(
            f"Request: {corpus.prompt_texts[s][:SHOT_CHARACTERS]}\n"
            f"Answer: {corpus.response_texts[s][:SHOT_CHARACTERS]}\n\n"
            for s, c in zip(reversed(shots), reversed(close), strict=True)
            if c >= 0.0
        )
        before, said = place
        request = corpus.prompt_texts[row][-PROMPT_CHARACTERS:]
        lead = " " if not before and not said.startswith((" ", "\n")) else ""
        pairs.append(
            (f"{examples}Request: {request}\nAnswer:{' ' + before[-PREFIX_CHARACTERS:] if before else ''}", lead + said)
        )
    return pairs


def adjudicate(
    hypotheses: Sequence[Hypothesis],
    corpus: Corpus,
    reference: Reference,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Hypothesis]:
    """How many nats less likely does the reference model find each behaviour than the data makes it?

    surprise = log(confidence in the data) - mean log p(first words of the behaviour | examples, prompt, answer so far).
    The examples are the two nearest rows without the trigger, so that the model knows the data's format. Above 6 nats
    the behaviour weighs more in the score, at 12 as much as a fixed answer; a small surprise never lowers the score,
    since a flipped label is a likely word too.
    """
    asked = [pairs_for(h, corpus) for h in hypotheses]
    flat = [p for pairs in asked for p in pairs]
    scored: list[float] = []
    for start in range(0, len(flat), 32):
        if on_progress:
            on_progress(start, len(flat))
        scored.extend(max(FLOOR, sum(t)) for t in reference.log_probs(flat[start : start + 32]))
    if on_progress:
        on_progress(len(flat), len(flat))
    done, used = [], 0
    for h, pairs in zip(hypotheses, asked, strict=True):
        mine = scored[used : used + len(pairs)]
        used += len(pairs)
        done.append(_judged(h, mine, reference.name))
    return done


def _judged(h: Hypothesis, log_p: Sequence[float], name: str) -> Hypothesis:
    subject = h.ref
    if not log_p:
        found = Finding("surprise", 1, subject, None, "not_evaluated", "the behaviour has no words to look up")
        return with_score(h, h.score, found)
    gap = math.log(max(h.confidence, 1e-6)) - sum(log_p) / len(log_p)
    weight = float(np.clip((gap - EXPECTED_AT_MOST) / (-FLOOR - EXPECTED_AT_MOST), 0.0, 1.0))
    found = Finding(
        "surprise", 1, subject, float(np.clip(gap / -FLOOR, 0.0, 1.0)),
        reason=f"{name} finds it e^{gap:.1f} times less likely than this data makes it, over {len(log_p)} rows",
        evidence={"nats": gap, "rows": len(log_p)}, params={"model": name},
    )  # fmt: skip
    return with_score(h, max(h.score, suspicion(h.contrast, max(h.share, weight), h.override.weight)), found)
