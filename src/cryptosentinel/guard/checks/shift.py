"""Has this agent suddenly changed its stance, its plan or its way of writing?"""

from __future__ import annotations

import math
import re

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
STEEP = 3.0  # standard deviations away at which the score is one half
LONGEST = 20_000

_DECIDES = re.compile(
    r"[^.!?\n]*\b(?:buy|buying|bought|sell|selling|sold|hold|holding|approve|reject|accept|decline)\b[^.!?\n]*",
    re.IGNORECASE,
)
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
            away = _distance(turn, before)
            flipped = _flipped(turn, before)
            score = max(away / (away + STEEP), FLIP if flipped else 0.0)
            if score >= 0.25:
                reason = f"{turn.event.sender} now goes the other way with {flipped}" if flipped else (
                    f"{turn.event.sender} writes {away:.1f} standard deviations away from its earlier messages"
                )  # fmt: skip
                return finding(self, at(turn), score, reason, deviations=round(away, 3), flipped=int(bool(flipped)))
        return None


def _distance(turn: Turn, before: list[Turn]) -> float:
    """How many of its own standard deviations is the message from the middle of the earlier ones?"""
    now = _style(turn.text)
    earlier = [_style(t.text) for t in before]
    total = 0.0
    for i, value in enumerate(now):
        own = [e[i] for e in earlier]
        middle = sum(own) / len(own)
        spread = math.sqrt(sum((v - middle) ** 2 for v in own) / len(own)) + 0.05 * abs(middle) + 1e-3
        total += min(10.0, abs(value - middle) / spread)
    return total / len(now) + _novelty(turn, before)


def _novelty(turn: Turn, before: list[Turn]) -> float:
    """How many more of its words are new than of the message before it, in standard deviations of a share?"""
    words = stems(turn.text[:LONGEST])
    known: set[str] = set().union(*(stems(t.text[:LONGEST]) for t in before[1:]))
    last = stems(before[0].text[:LONGEST])
    usual = len(last - known) / max(1, len(last))
    new = len(words - known - last) / max(1, len(words))
    return max(0.0, new - usual) / math.sqrt(0.25 / max(1, len(words)))


def _style(text: str) -> tuple[float, ...]:
    text = text[:LONGEST]
    found = text.split()
    count, letters = max(1, len(found)), max(1, len(text))
    sentences = max(1, sum(text.count(c) for c in ".!?\n"))
    return (
        math.log(count),
        sum(map(len, found)) / count,
        count / sentences,
        sum(c.isupper() for c in text) / letters,
        sum(c.isdigit() for c in text) / letters,
        sum(not c.isalnum() and not c.isspace() for c in text) / letters,
    )


def _flipped(turn: Turn, before: list[Turn]) -> str:
    """The thing with which it now goes another way than in the last two messages that decide about it."""
    now = _stances(turn.text)
    past = [_stances(t.text) for t in before]
    for name, sign in now.items():
        earlier = [p[name] for p in past if name in p][:2]
        if len(earlier) == 2 and all(e == -sign for e in earlier):
            return name
    return ""


def _stances(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for match in list(_DECIDES.finditer(text[:LONGEST]))[:30]:
        if sign := stance(match.group()):
            for name in _NAME.findall(match.group())[:4]:
                found[name] = sign
    return found
