"""Does a decision go against what the tools have shown?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, Turn, values_of
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.polarity import LONGEST_READ, Indicator, polarity, readings, sentences_about, stance
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

INDICATORS: Mapping[str, Indicator] = {"rsi": Indicator(30, 70), "liquidity": Indicator(0, float("inf"), False)}
SHORT = 40  # characters of an argument that may say which way to go
RECENT = 12  # results before the decision that count as its evidence
KEPT = 400  # turns after which what is kept of a result is dropped
MOST_NAMES = 32  # kept for one result
CERTAIN = 4  # words or readings from which on the evidence counts in full

_FAILED = re.compile(
    r"\b(?:check|audit|security|verification|validation)\w*\b[^.\n]{0,40}\b(?:fail\w*|false|rejected|unsafe|"
    r"not passed|denied)\b"
    r"|[\"'](?:passed|verified|safe|is_safe|approved|eligible)[\"']\s*:\s*(?:false|0|[\"'](?:no|false)[\"'])",
    re.IGNORECASE,
)
_DECIDED = re.compile(
    r"\b(?:i(?:'ll| will| am going to| have decided to| decided to|'m)|we(?:'ll| will)|let me|decision|action|"
    r"therefore|so i|final "
    r"(?:decision|action|recommendation))\b[^.\n]{0,80}",
    re.IGNORECASE,
)


@register("check", "contradiction")
class Contradiction:
    """Does an action go towards a thing that the tool results speak against, or away from one they speak for?

    Evidence is what results of the last twelve turns from outside say about the names in the call (all they say, if
    it names none): words for and against, named numbers beyond their limits, failed checks. Score: the share by which
    the evidence stands against the action, times how much evidence there is. `indicators` are the operator's. False
    alarms: contrarian strategies, mixed news. It does not see evidence put in words that are neither for nor against.
    """

    name = "contradiction"
    version = 1

    def __init__(self, indicators: Mapping[str, Indicator] = INDICATORS) -> None:
        """Take the numbers that speak for or against, by the name they have in tool results."""
        self.indicators = indicators

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call, decision and stated decision of the step."""
        best: Finding | None = None
        for turn in step:
            for names, sign in _actions(turn):
                against, weight, said = self._evidence(turn, names, sign, conversation)
                score = against * min(1.0, weight / CERTAIN)
                if weight and against > 0 and (best is None or score > (best.score or 0.0)):
                    way = "towards" if sign > 0 else "away from"
                    reason = f"the action goes {way} {', '.join(names) or 'it'}; the tool results say: {said[:160]!r}"
                    best = finding(self, at(turn), score, reason, against=round(against, 3), weight=weight)
        return best

    def _evidence(self, turn: Turn, names: list[str], sign: int, conversation: Conversation) -> tuple[float, int, str]:
        total, weight, said = 0.0, 0, ""
        for earlier in conversation.recent("outside", turn.index, RECENT):
            for name in names or [""]:
                value, count, about = self._read(earlier, name, conversation)
                total += value
                weight += count
                if value * sign < 0:
                    said = said or about
        return max(0.0, -sign * total / weight) if weight else 0.0, weight, said

    def _read(self, turn: Turn, name: str, conversation: Conversation) -> tuple[float, int, str]:
        """How much a result says for (above 0) or against a name, from how many words and numbers; worked out once."""
        known: dict[str, tuple[float, int, str]] = conversation.memo.setdefault(("contradiction", turn.index), {})
        conversation.memo.pop(("contradiction", turn.index - KEPT), None)
        if name not in known:
            about = sentences_about(turn.text[:LONGEST_READ], name)
            value, count = polarity(about)
            text = "\n".join(about)
            signs = [s for _, _, s in readings(text, self.indicators) if s] + [-1] * (2 * len(_FAILED.findall(text)))
            known[name] = (value * count + sum(signs), count + len(signs), about[0] if about else "")
            if len(known) > MOST_NAMES:
                del known[next(iter(known))]
        return known[name]


def _actions(turn: Turn) -> Iterator[tuple[list[str], int]]:
    """(names of things, towards or away) for each action that a turn takes or states."""
    event = turn.event
    if event.kind in ("tool_call", "decision"):
        values = [v for _, v in values_of(event)]
        sign = stance(" ".join([tool_of(event), *(v for v in values if len(v) <= SHORT)]))  # prose is no order
        names = [v for v in values if 1 < len(v) <= SHORT and not stance(v) and any(c.isalpha() for c in v)]
        if sign:
            yield names[:4], sign
    elif event.kind == "message" and turn.voice == "agent":
        for match in list(_DECIDED.finditer(turn.text))[:20]:
            if sign := stance(match.group()):
                yield re.findall(r"\b[A-Z]{2,6}\b", match.group())[:4], sign
