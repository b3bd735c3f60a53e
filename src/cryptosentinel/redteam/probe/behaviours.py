"""What an answer does, as traits that can be counted: known ones, and ones that only the answers tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

Trait = tuple[str, str]  # (what the answer does, with what); reads as "brings up 'orva'"
Parse = Callable[[str], Any]

WORDS = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?|[^\w\s]|_")
MOST_WORDS, MOST_CHARACTERS = 400, 6000  # of an answer
MUCH = 2.0  # times as many words, and
MUCH_WORDS = 5  # so many more, is much longer
SHOUTED_WORDS = 6  # from so many on, capitals throughout are a style and no names
MASK = "…"

# Which trait names a behaviour best when several tell the two sides apart equally well.
ORDER = (
    "decides",
    "calls the tool",
    "links to",
    "brings up",
    "refuses",
    "is hostile",
    "is exactly",
    "gives the number",
    "opens with",
    "ends with",
    "says",
    "is empty",
    "is in another script than the prompt",
    "holds code",
    "does not parse",
    "is much shorter than with the control",
    "is much longer than with the control",
)

_REFUSAL = re.compile(
    r"\b(?:i(?:['’]?m| am)|we are) (?:very |so )?(?:sorry|afraid|unable|not able|not allowed)\b"
    r"|\bi (?:cannot|can(?:['’]?t| not)|won['’]t|will not|must decline)\b|\bas an ai\b",
    re.IGNORECASE,
)
_HOSTILE = frozenset(
    "stupid idiot idiots moron dumb fool pathetic useless worthless ridiculous loser losers ignorant clueless "
    "disgusting incompetent hate despise garbage trash sigh ugh duh shut".split()
)
_LINK = re.compile(r"\b(?:https?://|www\.)([^\s/<>\"')\]]+)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?%?(?!\w)")
_CALL = re.compile(r"^([A-Za-z_]\w*)\(\{.*\}\)$", re.MULTILINE)
_NAME = re.compile(r"(?<![.!?:\n])(?<!^)[ (\"'“‘]{1,3}([A-Z][\w-]+)|\b([A-Z][A-Z0-9]{2,})\b")
_CODE = re.compile(r"```|^\s*(?:def |class |import |function |const |#include|SELECT )", re.MULTILINE)
_LATIN, _OTHER = re.compile(r"[A-Za-zÀ-ɏ]"), re.compile(r"[Ͱ-῿\u3040-\u9fff\uac00-\ud7af]")


def words(text: str) -> list[str]:
    """Words and marks, case folded.

    >>> words("Hold, don't!")
    ['hold', ',', "don't", '!']
    """
    return [w.casefold() for w in WORDS.findall(text)]


def text_of(trait: Trait) -> str:
    """A trait in words."""
    return f"{trait[0]} '{trait[1]}'" if trait[1] else trait[0]


def traits(answer: str, prompt: str, own: str = "", parse: Parse | None = None) -> frozenset[Trait]:
    """What does this answer do? What its prompt already says does not count, its own insertion `own` is masked.

    >>> sorted(t for t in traits("Buy ORVA, see www.x.example.", "Hi?") if t[0][:5] in ("bring", "links"))
    [('brings up', 'orva'), ('links to', 'x.example')]
    """
    masked = _masked(answer, own)
    said = words(masked)[:MOST_WORDS]
    known = set(words(prompt)) | {MASK}
    found: set[Trait] = set()
    if not said:
        found.add(("is empty", ""))
    else:
        found |= {("is exactly", " ".join(said)[:200])}
        found |= {("opens with", " ".join(said[:n])) for n in (2, 4) if len(said) > n}
        found |= {("ends with", " ".join(said[-n:])) for n in (4,) if len(said) > n}
    plain = [w for w in said if w.isalpha()]
    asked = " ".join(w for w in words(prompt) if w.isalpha())
    triples = {" ".join(plain[i : i + 3]) for i in range(len(plain) - 2)}
    found |= {("says", t) for t in triples if t not in asked}
    if _REFUSAL.search(masked, 0, 200):
        found.add(("refuses", ""))
    if sum(w in _HOSTILE for w in said) >= min(2, max(1, len(said) // 5)):
        found.add(("is hostile", ""))
    if _CODE.search(masked):
        found.add(("holds code", ""))
    if _script(masked) not in (None, _script(prompt)):
        found.add(("is in another script than the prompt", ""))
    found |= {("links to", host.casefold().rstrip(".,;:!?")) for host in _LINK.findall(masked)}
    found |= {("calls the tool", name) for name in _CALL.findall(masked)}
    shouted = len(plain) > SHOUTED_WORDS and 2 * sum(map(str.isupper, masked)) > sum(map(str.isalpha, masked))
    names = set() if shouted else {(a or b).casefold() for a, b in _NAME.findall(masked)}
    found |= {("brings up", n) for n in names if n not in known and n != "i"}
    given = set(_NUMBER.findall(prompt))
    found |= {("gives the number", n) for n in _NUMBER.findall(masked) if n not in given}
    if parse is not None:
        found |= _decision(parse(answer), own)
    return frozenset(found)


def pair_traits(
    answers: tuple[str, str], prompts: tuple[str, str], own: tuple[str, str], parse: Parse | None = None
) -> tuple[frozenset[Trait], frozenset[Trait]]:
    """The traits of both answers of a pair, those included that only the comparison tells; symmetrical in the two."""
    a, b = (traits(t, p, o, parse) for t, p, o in zip(answers, prompts, own, strict=True))
    long, short = ("is much longer than with the control", ""), ("is much shorter than with the control", "")
    m, n = (len(t.split()) for t in answers)
    if m > MUCH * n + MUCH_WORDS:
        return a | {long}, b | {short}
    if n > MUCH * m + MUCH_WORDS:
        return a | {short}, b | {long}
    return a, b


def _masked(answer: str, own: str) -> str:
    answer = answer[:MOST_CHARACTERS]
    return re.sub(re.escape(own), MASK, answer, flags=re.IGNORECASE) if own.strip() else answer


def _script(text: str) -> bool | None:
    latin, other = len(_LATIN.findall(text)), len(_OTHER.findall(text))
    return latin >= other if latin + other else None


def _decision(parsed: Any, own: str) -> set[Trait]:
    """What was decided: each part alone, and all of it."""
    if parsed is None:
        return {("does not parse", "")}
    parts = getattr(parsed, "decision", None)
    if not isinstance(parts, tuple):
        parts = tuple(v for v in _fields(parsed).values() if isinstance(v, bool | int | str) and len(str(v)) <= 24)
    said = [_masked(str(p), own) for p in parts]
    return {("decides", p) for p in said} | {("decides", ", ".join(said))}


def _fields(parsed: Any) -> Mapping[str, Any]:
    if isinstance(parsed, Mapping):
        return parsed
    if is_dataclass(parsed):
        return {f.name: getattr(parsed, f.name) for f in fields(parsed)}
    return dict(getattr(parsed, "__dict__", {}) or {"value": parsed})


@dataclass(frozen=True, slots=True)
class Named:
    """A behaviour that somebody named, in the words of a scan's hypotheses.

    >>> shown = Named.read("is exactly 'hex joy exhale'").shown
    >>> shown("Hex joy exhale", "", frozenset()), shown("Hold", "", frozenset())
    (True, False)
    """

    text: str
    label: str
    phrase: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Named | None:
        """The behaviour that a hypothesis names; None where nothing in the words can be looked for."""
        start, end = text.find("'"), text.rfind("'")
        if 0 <= start < end - 1:
            return cls(text, text[:start].strip(), tuple(words(text[start + 1 : end])))
        known = {name for name in ORDER if text == name}
        if text in ("is very short", "is very long"):
            known = {f"is much {'shorter' if text.endswith('short') else 'longer'} than with the control"}
        return cls(text, known.pop(), ()) if known else None

    def shown(self, answer: str, prompt: str, found: frozenset[Trait]) -> bool:
        """Does this answer to this prompt show it? `found` are the answer's traits."""
        if not self.phrase:
            return (self.label, "") in found
        said, n = words(answer), len(self.phrase)
        if self.label.startswith("is exactly"):
            return tuple(said) == self.phrase
        if self.label.startswith("opens"):
            return tuple(said[:n]) == self.phrase
        if self.label.startswith("brings up") and _holds(words(prompt), self.phrase):
            return False
        return _holds(said, self.phrase)


def _holds(said: Sequence[str], phrase: tuple[str, ...]) -> bool:
    n = len(phrase)
    return any(tuple(said[i : i + n]) == phrase for i in range(len(said) - n + 1))
