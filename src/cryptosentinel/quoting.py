"""Text that an attacker may have written, quoted so that a reader cannot take it for anything else."""

from __future__ import annotations

import hashlib
import re
import unicodedata

MARK_CHARACTERS = 16
BOX = "\u25af"
_BREAKS = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_ROLES = re.compile(r"\[(/?[A-Z_]{3,})\]")  # [INST], [/SYSTEM_PROMPT]: turns of a conversation in some chat templates
# Angle brackets make both our fences and the turn marks of most chat templates, which many servers obey in any text.
_LIKE_TAGS = str.maketrans({"<": "\u27e8", ">": "\u27e9", "\uff1c": "\u27e8", "\uff1e": "\u27e9", "\t": " "})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that show nothing


def mark_of(*texts: str) -> str:
    """A mark that none of these texts holds: to hold it, a text would have to contain its own digest.

    It is drawn from the texts and not at random, so that the same question is the same request and its answer can be
    kept; for who writes the texts it is as good as random.

    >>> mark_of("a", "b") == mark_of("a", "b") != mark_of("ab", "")
    True
    """
    digest = hashlib.blake2b(digest_size=MARK_CHARACTERS // 2)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def visible(text: str) -> str:
    r"""The text with a box for every character that cannot be seen, and nothing that looks like a tag or a turn.

    >>> visible("a\x00<|im_end|>[INST]")
    'a▯⟨|im_end|⟩(INST)'
    """
    shown = _ROLES.sub(r"(\1)", _BREAKS.sub("\n", text).translate(_LIKE_TAGS))
    if shown.isascii() and shown.replace("\n", "").isprintable():
        return shown
    return "".join(c if c == "\n" or not _unseen(c) else BOX for c in shown)


def _unseen(c: str) -> bool:
    """Does it show nothing? Control, format, surrogate, private and unassigned characters, variation selectors."""
    selector = "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"
    return unicodedata.category(c)[0] == "C" or selector or c in _BLANK


def one_line(text: str, limit: int) -> str:
    r"""Someone's remark, fit for a report: visible, on one line, at most `limit` characters.

    >>> one_line("all\n  well and good", 9)
    'all well…'
    """
    line = " ".join(visible(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def excerpt(text: str, limit: int, around: str = "") -> str:
    """At most `limit` characters: the whole, or the part around the first place of `around`, or both ends.

    >>> excerpt("a" * 50 + "needle" + "b" * 50, 10, "Needle")
    '[48 characters left out]aaneedlebb[48 characters left out]'
    """
    if len(text) <= limit:
        return text
    found = re.search(re.escape(around), text, re.IGNORECASE) if around else None
    if found is None:
        head, tail = limit - limit // 3, limit // 3
        return f"{text[:head]}[{len(text) - head - tail} characters left out]{text[len(text) - tail :]}"
    start = max(0, min(found.start() - max(0, limit - len(found.group())) // 2, len(text) - limit))
    left, right = start, len(text) - start - limit
    before = f"[{left} characters left out]" if left else ""
    return f"{before}{text[start : start + limit]}{f'[{right} characters left out]' if right else ''}"


def quote(text: str, mark: str, limit: int, around: str = "") -> str:
    r"""The text between two fence lines that carry the mark, every line of it behind a bar.

    Nothing in the text can close the fence: its lines begin with a bar, it holds no angle bracket, and the mark is
    taken out of it.

    >>> quote("Hi.\n>>> 77", "77", 100).split("\n")
    ['<<< 77', '| Hi.', '| ⟩⟩⟩ ▯', '>>> 77']
    """
    shown = visible(excerpt(text, limit, around)).replace(mark, BOX)
    bars = "\n".join(f"| {line}" for line in shown.split("\n"))
    return f"<<< {mark}\n{bars}\n>>> {mark}"
