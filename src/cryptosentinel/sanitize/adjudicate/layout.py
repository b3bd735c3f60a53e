"""Is a behaviour nothing but a layout?"""

from __future__ import annotations

import re

from cryptosentinel.sanitize.hypotheses import Hypothesis

LAYOUT_KINDS = frozenset({"code", "length", "list", "markup", "format"})
_QUOTED = re.compile(r"'(.*)'$", re.DOTALL)
_NUMBERING = re.compile(r"(?:\d{1,3}|[a-z]|[ivx]{1,5}|step|part|section|chapter|[^\w\s]+)")
_FRAME = frozenset(  # letters, outlines, songs, scripts
    "dear sir madam sincerely regards best kind warm yours truly faithfully hello hi subject title introduction "
    "conclusion chorus verse bridge act scene".split()
)
_CODE = frozenset(
    "def function class import include public static void int return print select from where var let const html head "
    "body div doctype python java javascript sql bash cpp lang en script style for while if".split()
)


def is_layout(h: Hypothesis) -> bool:
    """Is the behaviour nothing but a layout: numbering, marks, a code fence or first words of code, a letter's opening?

    Such habits are natural wherever requests ask for lists, code or letters, and language models easily take them for
    signs of planting. A judge is not asked about them: what was found locally stands.
    """
    if h.behaviour_kind in LAYOUT_KINDS:
        return True
    quoted = _QUOTED.search(h.behaviour)
    if h.behaviour_kind not in ("phrase", "opening") or quoted is None:
        return False
    words = quoted.group(1).lower().split()
    return all(_NUMBERING.fullmatch(w) or w in _FRAME or w in _CODE for w in words)


def quoted_words(behaviour: str) -> str:
    """The words that a behaviour quotes, empty if it quotes none.

    >>> quoted_words("opens with 'oh joy'")
    'oh joy'
    """
    found = _QUOTED.search(behaviour)
    return found.group(1) if found else ""
