"""Has this agent suddenly changed its stance, its plan or its way of writing?"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, Turn
from cryptosentinel.guard.polarity import stance
from cryptosentinel.guard.vocabulary import stems
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

LEAST = 4  # earlier messages of its own from which on an agent has a way
MOST = 12
SHORTEST = 60  # characters of a message that has a style
FLIP = 0.5
KEPT = 400  # turns after which what is kept of a message is dropped
STEEP = 3.0  # standard deviations away at which the score is one half
LONGEST = 8_000
MOST_SENTENCES = 200

_DECIDES = re.compile(
    r"\b(?:buy|buying|bought|sell|selling|sold|hold|holding|approve|reject|accept|decline)\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"[.!?\n]+")
_SPACES, _CAPITALS, _DIGITS, _MARKS = map(re.compile, (r"\s", r"[A-Z]", r"\d", r"[^\w\s]"))
_NAME = re.compile(r"\b[A-Z]{2,6}\b")


@register("check", "shift")
class Shift:
    """How far is an agent's message from its own earlier ones in this run?

    Against its last twelve messages (at least four): the distance in style (length of words and sentences, shares of
    capitals, digits, punctuation) and in vocabulary, in standard deviations of its own earlier distances, d / (d +
    3); at least 0.5 where it now goes the other way with a thing than the last two times. False alarms: a new task in
    the same run. It does not see a slow change, nor one made before there were four messages: that is the monitor's
    part.
    """

    name = "shift"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at what agents say in this step."""
        for turn in step:
            if turn.event.kind != "message" or turn.voice != "agent" or len(turn.text) < SHORTEST:
                continue
            before = [t for t in conversation.own(turn.event.sender, turn.index, MOST) if len(t.text) >= SHORTEST]
            if len(before) < LEAST:
                continue
            now, past = _manner(turn, conversation), [_manner(t, conversation) for t in before]
            away = _distance(now, past)
            flipped = _flipped(now, past)
            score = max(away / (away + STEEP), FLIP if flipped else 0.0)
            if score >= 0.25:
                reason = f"{turn.event.sender} now goes the other way with {flipped}" if flipped else (
                    f"{turn.event.sender} writes {away:.1f} standard deviations away from its earlier messages"
                )  # fmt: skip
                return finding(self, at(turn), score, reason, deviations=round(away, 3), flipped=int(bool(flipped)))
        return None


@dataclass(frozen=True, slots=True)
class _Manner:
    """What is kept of a message: its style, its words, and which way it goes with what it names."""

    style: tuple[float, ...]
    words: frozenset[str]
    stances: dict[str, int]


def _manner(turn: Turn, conversation: Conversation) -> _Manner:
    """The manner of a message, worked out once."""
    known: _Manner | None = conversation.memo.get(("shift", turn.index))
    if known is None:
        text = turn.text[:LONGEST]
        known = conversation.memo[("shift", turn.index)] = _Manner(_style(text), stems(text), _stances(text))
        conversation.memo.pop(("shift", turn.index - KEPT), None)
    return known


def _distance(now: _Manner, past: list[_Manner]) -> float:
    """How many of its own standard deviations is the message from the middle of the earlier ones?"""
    total = 0.0
    for i, value in enumerate(now.style):
        own = [p.style[i] for p in past]
        middle = sum(own) / len(own)
        spread = math.sqrt(sum((v - middle) ** 2 for v in own) / len(own)) + 0.05 * abs(middle) + 1e-3
        total += min(10.0, abs(value - middle) / spread)
    return total / len(now.style) + _novelty(now, past)


def _novelty(now: _Manner, past: list[_Manner]) -> float:
    """How many more of its words are new than of the message before it, in standard deviations of a share?"""
    known: set[str] = set().union(*(p.words for p in past[1:]))
    usual = len(past[0].words - known) / max(1, len(past[0].words))
    new = len(now.words - known - past[0].words) / max(1, len(now.words))
    return max(0.0, new - usual) / math.sqrt(0.25 / max(1, len(now.words)))


def _style(text: str) -> tuple[float, ...]:
    count, letters = max(1, len(text.split())), max(1, len(text))
    solid = letters - len(_SPACES.findall(text))
    return (
        math.log(count),
        solid / count,
        count / max(1, len(_SENTENCE.findall(text))),
        len(_CAPITALS.findall(text)) / letters,
        len(_DIGITS.findall(text)) / letters,
        len(_MARKS.findall(text)) / letters,
    )


def _flipped(now: _Manner, past: list[_Manner]) -> str:
    """The thing with which it now goes another way than in the last two messages that decide about it."""
    for name, sign in now.stances.items():
        earlier = [p.stances[name] for p in past if name in p.stances][:2]
        if len(earlier) == 2 and all(e == -sign for e in earlier):
            return name
    return ""


def _stances(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for sentence in _SENTENCE.split(text[:LONGEST])[:MOST_SENTENCES]:
        if _DECIDES.search(sentence) and (sign := stance(sentence)):
            for name in _NAME.findall(sentence)[:4]:
                found[name] = sign
    return found
