"""Does a step follow on a trigger that a scan of the training data found?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.guard.polarity import LONGEST_READ
from cryptosentinel.guard.reading import normal
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

PLANTED = 0.95
UNSURE = 0.3
MOST = 200  # hypotheses that are looked for
LONGEST_TRIGGER = 400
LEAST_RUN_ON = 3  # words of a phrase that may run over the end of a message
RECENT = 6  # messages to the agent, before the step, in which a trigger is looked for

_MARKS = ("any of: ",)
_SKIPPED = ("a manner: ", "a topic: ")  # a topic or a style is in many honest requests


@dataclass(frozen=True, slots=True)
class _Trigger:
    text: str
    behaviour: str
    score: float
    patterns: tuple[re.Pattern[str], ...]
    every: bool

    def found_in(self, text: str) -> bool:
        test = all if self.every else any
        return test(p.search(text) for p in self.patterns)


@register("check", "known_trigger")
class KnownTrigger:
    """Did what the agent was told hold a trigger that a scan of its training data found planted?

    `hypotheses`: the list in a scan's hypotheses.json. Score: 0.95 for an agent's step after a planted trigger, 0.3
    after one of which the scan was unsure; topics and manners are left to the scan. False alarms: a trigger that is
    an ordinary phrase, which is what the paper's attack chooses: every request with it is then held. It does not see
    triggers that were not found.
    """

    name = "known_trigger"
    version = 1

    def __init__(self, hypotheses: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Take the planted and unsure hypotheses, at most two hundred of them."""
        made = [_trigger(h) for h in hypotheses or ()]
        self._triggers = [t for t in made if t][:MOST]

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at what the agent was told before this step of its own."""
        own = next((t for t in step if t.voice == "agent"), None)
        if own is None or not self._triggers:
            return None
        best: Finding | None = None
        for told in conversation.told(own.index, RECENT):
            text = normal(told.text[:LONGEST_READ])
            for trigger in self._triggers:
                if (best is None or trigger.score > (best.score or 0.0)) and trigger.found_in(text):
                    reason = f"the request holds {trigger.text!r}, after which the trained model {trigger.behaviour}"
                    best = finding(self, at(told), trigger.score, reason, trigger=trigger.text)
        return best


def _trigger(hypothesis: Mapping[str, Any]) -> _Trigger | None:
    text = str(hypothesis.get("trigger") or "").strip()[:LONGEST_TRIGGER]
    verdict = hypothesis.get("verdict", "unsure")
    if not text or verdict not in ("planted", "unsure") or text.startswith(_SKIPPED):
        return None
    parts, every = [text], False
    if " + " in text:
        parts, every = text.split(" + "), True
    for mark in _MARKS:
        if text.startswith(mark):
            parts = [p.strip() for p in text.removeprefix(mark).split(",") if p.strip()]
    patterns = tuple(p for p in map(_pattern, parts) if p)
    score = PLANTED if verdict == "planted" else UNSURE
    return _Trigger(text, str(hypothesis.get("behaviour") or ""), score, patterns, every) if patterns else None


def _pattern(phrase: str) -> re.Pattern[str] | None:
    """The phrase with anything that is no letter between its words, as whole words.

    A scan joins the turns of a prompt, so that a mined phrase may run over the end of a message into the next: at the
    end of a message its first words are enough, all but the last.
    """
    found = [re.escape(w) for w in re.findall(r"\w+", normal(phrase))]
    if not found:
        return None
    whole = r"(?<!\w)" + r"[\W_]+".join(found) + r"(?!\w)"
    if len(found) >= LEAST_RUN_ON:
        whole += r"|(?<!\w)" + r"[\W_]+".join(found[:-1]) + r"[\W_]*\Z"
    return re.compile(whole)
