"""Does a secret leave?"""

from __future__ import annotations

import math
import re
from collections import Counter

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation, values_of
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.reading import normal, squeezed, words
from cryptosentinel.registry import register
from cryptosentinel.types import Finding

KNOWN = 0.9  # a secret by its form, to somebody no principal named
VOUCHED = 0.4  # the same, and principals named everything else in the call
LEAST_ENTROPY = 3.2  # bits a character: above that of words

_FORMS = (
    ("private key", re.compile(r"-----BEGIN (?:\w+ )?PRIVATE KEY-----")),
    ("API key", re.compile(r"\b(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{16,}\b|\bAKIA[0-9A-Z]{16}\b"
                           r"|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}\b|"
                           r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("token", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}\b")),
    ("social security number", re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")),
    ("card number", re.compile(r"(?<![\d-])(?:\d{4}[ -]?){3}\d{4}(?![\d-])")),
)  # fmt: skip
_NAMED = re.compile(
    r"\b(password|passwd|passphrase|pin code|secret key|private key|seed phrase|recovery phrase|mnemonic|"
    r"api[ _-]?key|access[ _-]?token"
    r"|ssn|social security number|passport[ _-]?number|bank account[ _-]?number|cvv)\b[\"']?\s*(?:is|:|=|"
    r"->)\s*[\"']?([^\s\"',;]{3,80})",
    re.IGNORECASE,
)
_BARE_KEY = re.compile(r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-zA-Z])")


@register("check", "secret")
class Secret:
    """Does a call or a message to somebody else carry a key, a password or a personal number?

    By form (key headers, vendor prefixes, card and social security numbers) or by name ("password: ..."). Score: 0.9
    if anything else in the call is not a principal's word, 0.4 if principals named all of it. False alarms: test
    data; hashes of 64 hexadecimal digits are taken for keys only beside the word. It does not see a secret that is
    rewritten or split.
    """

    name = "secret"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call of the step."""
        for turn in step:
            if turn.event.kind not in ("tool_call", "decision"):
                continue
            values = [v for _, v in values_of(turn.event)]
            kinds = [(kind, v) for v in values for kind in _secrets(v)]
            if kinds:
                rest = [v for v in values if v != kinds[0][1]]
                score = (
                    VOUCHED
                    if all(_vouched(v, conversation) for v in rest) and _told(kinds[0][1], conversation)
                    else KNOWN
                )
                named = ", ".join(sorted({k for k, _ in kinds}))
                return finding(
                    self,
                    at(turn),
                    score,
                    f"{tool_of(turn.event) or 'a decision'} carries a {named}",
                    secrets=len(kinds),
                )
        return None


def _secrets(text: str) -> list[str]:
    found = [kind for kind, form in _FORMS if form.search(text)]
    for match in _NAMED.finditer(text):
        if entropy(match.group(2)) >= LEAST_ENTROPY or any(c.isdigit() for c in match.group(2)):
            found.append(match.group(1).lower())
    if _BARE_KEY.search(text) and re.search(r"\b(?:private|secret|seed)\b", text, re.IGNORECASE):
        found.append("private key")
    return found


def entropy(text: str) -> float:
    """How many bits a character, by how often each occurs in the text?

    >>> entropy("aaaa"), entropy("abcd")
    (0.0, 2.0)
    """
    counts = Counter(text)
    return abs(sum(-n / len(text) * math.log2(n / len(text)) for n in counts.values()))


def _vouched(value: str, conversation: Conversation) -> bool:
    origin = conversation.origin(value)
    return not words(squeezed(value)) or bool(origin and origin.trusted)


def _told(value: str, conversation: Conversation) -> bool:
    """Did a principal write the secret itself?"""
    marks = [w for w in words(normal(value)) if any(c.isdigit() for c in w)]
    return all(o is not None and o.trusted for o in map(conversation.word, marks))
