"""The words of a rule file, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cryptosentinel.agentspec.problems import Report, shown

Kind = Literal["id", "name", "number", "duration", "string", "op", "end of file"]
KEYWORDS = frozenset({"rule", "trigger", "check", "enforce", "end", "and", "or", "not", "in", "matches"})
MAX_CHARACTERS = 1_000_000
MAX_DIGITS = 60

# Names are ASCII, so that no letter of another script can pass for one of these.
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+)
    |(?P<comment>\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<id>@[A-Za-z_][\w-]*(?:\.[\w-]+)*)
    |(?P<duration>\d+[smhd](?![\w.]))
    |(?P<number>-?\d+(?:_\d+)*(?:\.\d+)?(?![\w.]))
    |(?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
    |(?P<name>[A-Za-z_]\w*(?:\.\w+)*)
    |(?P<op>==|!=|<=|>=|&&|\|\||[<>!&|()\[\]{},:=])
    |(?P<open>"|'|/\*)
    |(?P<odd_number>-?\d[\w.]*)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ODD = re.compile(r"""[^\s()\[\]{},:=<>!&|"'\#@]+""")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_TRUTHS = {"True": "true", "False": "false"}
_SAME = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not"}


@dataclass(frozen=True, slots=True)
class Token:
    """One word: what it is, how it reads, and where it begins. `value` is a string without its quotes."""

    kind: Kind
    text: str
    at: tuple[int, int]
    value: str = ""

    @property
    def meaning(self) -> str:
        """How the parser knows it: `&`, `|` and `!` are `and`, `or` and `not`."""
        return _SAME.get(self.text, self.text) if self.kind == "op" else self.text


def tokens(text: str, report: Report) -> list[Token]:
    """Which words is this text made of? What is no word is reported and passed over.

    >>> [t.text for t in tokens("check is_large_trade(1_000)  # a comment", Report(""))]
    ['check', 'is_large_trade', '(', '1_000', ')', '']
    """
    if len(text) > MAX_CHARACTERS:
        report.add((1, 1), f"a rule file has at most {MAX_CHARACTERS} characters, got {len(text)}")
        return []
    found: list[Token] = []
    place, line, line_start = int(text.startswith("\ufeff")), 1, 0
    while place < len(text):
        at = (line, place - line_start + 1)
        match = _TOKEN.match(text, place)
        if match is None:
            odd = _ODD.match(text, place)
            word = odd.group() if odd else text[place]
            report.add(at, f"unexpected {shown(word)}; names are of a-z, A-Z, 0-9 and _")
            place += len(word)
            continue
        kind, word = str(match.lastgroup), match.group()
        place = match.end()
        if (breaks := word.count("\n")) > 0:  # only white space and comments span lines
            line, line_start = line + breaks, match.start() + word.rindex("\n") + 1
        if kind in ("space", "comment"):
            continue
        if kind == "open":
            report.add(at, "a comment that does not end" if word == "/*" else "a string that does not end on its line")
            place = len(text) if word == "/*" else text.find("\n", place) % (len(text) + 1)
            continue
        if kind == "odd_number" or (kind in ("number", "duration") and len(word) > MAX_DIGITS):
            report.add(at, f"{shown(word)} is no number (100, 1_000, 2.5) and no duration (30s, 10m, 1h, 2d)")
            kind, word = "number", "0"
        word = _TRUTHS.get(word, word) if kind == "name" else word
        value = _unescape(word[1:-1], at, report) if kind == "string" else ""
        found.append(Token(kind, word, at, value))  # type: ignore[arg-type]  # the groups are the kinds
    found.append(Token("end of file", "", (line, len(text) - line_start + 1)))
    return found


def _unescape(inside: str, at: tuple[int, int], report: Report) -> str:
    def replaced(match: re.Match[str]) -> str:
        column = at[1] + 1 + match.start()
        if match[1] and not 0xD800 <= int(match[1], 16) <= 0xDFFF:
            return chr(int(match[1], 16))
        if match[1]:
            report.add((at[0], column), f"{match[0]} is no character; write it as it is")
        elif match[2] not in _ESCAPES:
            report.add((at[0], column), f"unknown escape {match[0]!r}; a backslash is written \\\\")
        return _ESCAPES.get(match[2], "")

    return _ESCAPE.sub(replaced, inside)


def quoted(text: str) -> str:
    r"""How is this string written in a rule?

    >>> quoted('say "no"')
    '"say \\"no\\""'
    """
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(marks.get(c, c) for c in text) + '"'
