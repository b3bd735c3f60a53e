"""Going through words one by one, and saying what was expected instead."""

from __future__ import annotations

from typing import NoReturn

from cryptosentinel.agentspec.problems import Report, nearest, shown
from cryptosentinel.agentspec.tokens import KEYWORDS, Kind, Token


class SkipError(Exception):
    """What is being read cannot be saved; it was reported."""


class Reader:
    """A place among words."""

    def __init__(self, words: list[Token], report: Report) -> None:
        """Begin at the first one."""
        self._words = words or [Token("end of file", "", (1, 1))]
        self._place = 0
        self.report = report

    @property
    def peek(self) -> Token:
        """The next word."""
        return self._words[self._place]

    @property
    def peek_after(self) -> Token:
        """The one after it."""
        return self._words[min(self._place + 1, len(self._words) - 1)]

    @property
    def last_line(self) -> int:
        """On which line did the last word stand?"""
        return self._words[max(self._place - 1, 0)].at[0]

    def advance(self) -> Token:
        """Take the next word; the end of the file is never passed."""
        token = self.peek
        self._place = min(self._place + 1, len(self._words) - 1)
        return token

    def at_end(self) -> bool:
        """Is there no word left?"""
        return self.peek.kind == "end of file"

    def at(self, *meanings: str) -> bool:
        """Is the next word one of these keywords or signs?"""
        return self.peek.kind in ("name", "op") and self.peek.meaning in meanings

    def accept(self, meaning: str) -> bool:
        """Take the next word if it is this one."""
        if self.at(meaning):
            self.advance()
            return True
        return False

    def expect(self, meaning: str) -> Token:
        """Take this word, or report that it is missing."""
        if self.at(meaning):
            return self.advance()
        near = nearest(self.peek.text, [meaning]) if self.peek.kind == "name" else ""
        self.fail(self.peek.at, f"expected {meaning!r}, got {self.said(self.peek)}", near)

    def next_of(self, kind: Kind, what: str) -> Token:
        """Take a word of this kind; keywords are no names."""
        token = self.peek
        if token.kind != kind or (kind == "name" and token.text in KEYWORDS):
            self.fail(token.at, f"expected {what}, got {self.said(token)}")
        return self.advance()

    def said(self, token: Token) -> str:
        """A word, as a message shows it."""
        return "the end of the file" if token.kind == "end of file" else shown(token.text)

    def fail(self, at: tuple[int, int], message: str, hint: str = "") -> NoReturn:
        """Report it and give up what is being read."""
        self.report.add(at, message, hint)
        raise SkipError
