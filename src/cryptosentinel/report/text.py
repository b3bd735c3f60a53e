"""Hostile text made safe to read, and numbers made short."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

from markupsafe import Markup, escape

EXCERPT = 420
MARKS = 20
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = frozenset("\t\n")


def visible(text: str) -> Markup:
    """Escape text for HTML and show what would otherwise be invisible or turn the line around.

    Control and format characters (NUL, escape, zero-width, right-to-left overrides) become a labelled box: a trigger
    made of them is one that a reader must be able to see.

    >>> str(visible("a<b" + chr(0)))
    'a&lt;b<span class="unseen" title="unnamed control character">U+0000</span>'
    """
    parts: list[str] = []
    start = 0
    for i, char in enumerate(text):
        if char.isascii() and char.isprintable():
            continue
        if char in _BLANK or unicodedata.category(char) not in _UNSEEN:
            continue
        name = unicodedata.name(char, "unnamed control character").lower()
        parts += [str(escape(text[start:i])), f'<span class="unseen" title="{escape(name)}">U+{ord(char):04X}</span>']
        start = i + 1
    parts.append(str(escape(text[start:])))
    return Markup("".join(parts))  # noqa: S704 - every part was escaped above


def phrase_pattern(phrase: str) -> re.Pattern[str] | None:
    """How does a mined phrase look in the text it came from? Case and spacing do not count; None for no words."""
    words = phrase.split()
    if not words:
        return None
    pattern = r"\s*".join(re.escape(word) for word in words)
    left = r"(?<!\w)" if words[0][0].isalnum() else ""
    right = r"(?!\w)" if words[-1][-1].isalnum() else ""
    return re.compile(left + pattern + right, re.IGNORECASE)


def quoted(description: str) -> str:
    """The phrase that a description quotes, or all of it if it quotes none.

    >>> quoted("opens with 'certainly , the'"), quoted("sigh")
    ('certainly , the', 'sigh')
    """
    start, end = description.find("'"), description.rfind("'")
    return description[start + 1 : end] if 0 <= start < end - 1 else description


def highlighted(text: str, phrase: str, kind: str, limit: int = EXCERPT) -> Markup:
    """An excerpt around the phrase's first place, every place marked; `kind` is the CSS class of the mark.

    >>> str(highlighted("Ask about Sustainable  Yield today", "sustainable yield", "trigger"))
    'Ask about <mark class="trigger">Sustainable  Yield</mark> today'
    """
    pattern = phrase_pattern(phrase)
    first = pattern.search(text) if pattern else None
    start = 0 if first is None or len(text) <= limit else max(0, min(first.start() - limit // 3, len(text) - limit))
    cut = text[start : start + limit]
    parts = [Markup('<span class="cut">… </span>')] if start else []
    at = 0
    for found in list(pattern.finditer(cut))[:MARKS] if pattern else []:
        parts += [visible(cut[at : found.start()]), Markup('<mark class="{}">').format(kind)]
        parts += [visible(found.group()), Markup("</mark>")]
        at = found.end()
    parts.append(visible(cut[at:]))
    if rest := len(text) - start - len(cut):
        parts.append(Markup('<span class="cut"> … {:,} more characters</span>').format(rest))
    return Markup("").join(parts)


def percent(value: Any) -> str:
    """A share in [-1, 1] as a short percentage.

    >>> [percent(x) for x in (1, 0.0034, 0.00001, 0, -0.02, None)]
    ['100%', '0.3%', '<0.1%', '0%', '−2%', '–']
    """
    if not _is_number(value):
        return "–"
    share = 100 * float(value)
    if 0 < abs(share) < 0.1:
        return "<0.1%" if share > 0 else ">−0.1%"
    digits = 0 if round(share, 1) == round(share) or abs(share) >= 99.95 else 1
    return f"{share:.{digits}f}%".replace("-", "−")


def number(value: Any, digits: int = 3) -> str:
    """A number with at most `digits` significant digits; whole numbers with thousands separated.

    >>> [number(x) for x in (12345, 0.01234, 1234.5, 1e-12, None)]
    ['12,345', '0.0123', '1,234', '1e-12', '–']
    """
    if not _is_number(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−") if abs(value) >= 1e-4 else f"{value:.0e}"


def seconds(value: Any) -> str:
    """A duration.

    >>> [seconds(x) for x in (0.034, 4.26, 75, 4000)]
    ['0.03 s', '4.3 s', '1 min 15 s', '1 h 6 min']
    """
    if not _is_number(value):
        return "–"
    if value < 60:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"


def plural(count: Any, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "row"), plural(1200, "row"), plural(2, "hypothesis", "hypotheses")
    ('1 row', '1,200 rows', '2 hypotheses')
    """
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
