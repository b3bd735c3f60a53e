"""What is wrong with a rule file, shown where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cryptosentinel.errors import RuleError

_AROUND = 60  # characters of a long line on either side of the caret
_SHOWN = 40


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong at one place; `line` and `column` count from 1, `source` is that line as it stands.

    >>> print(Problem(1, 7, "unknown predicate 'is_larg'", "check is_larg", "is_large_trade").show())
    line 1, column 7: unknown predicate 'is_larg' (did you mean 'is_large_trade'?)
        check is_larg
              ^
    """

    line: int
    column: int
    message: str
    source: str = ""
    hint: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, and what may have been meant?"""
        return f"{self.message} (did you mean {self.hint!r}?)" if self.hint else self.message

    def show(self) -> str:
        """The sentence, the line and a caret under the place."""
        start = max(0, self.column - 1 - _AROUND)
        line = "".join(c if c.isprintable() else " " for c in self.source[start : self.column + _AROUND])
        place = f"line {self.line}, column {self.column}: {self.sentence}"
        return f"{place}\n    {line}\n    {' ' * (self.column - 1 - start)}^"

    def as_dict(self) -> dict[str, str | int]:
        """For JSON."""
        return {"line": self.line, "column": self.column, "message": self.sentence, "source": self.source}


class RulesError(RuleError):
    """A rule file cannot be used: every problem found in it, in the order of the file.

    The error itself stands for the first problem; `problems` has them all.

    >>> error = RulesError([Problem(2, 1, "no 'end'"), Problem(1, 6, "two rules are called @a")])
    >>> str(error)
    'line 1, column 6: two rules are called @a (1 more problem)'
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep all of them; there must be one."""
        self.problems: Sequence[Problem] = tuple(sorted(problems))
        first, more = self.problems[0], len(self.problems) - 1
        rest = f" ({more} more problem{'s' if more > 1 else ''})" if more else ""
        super().__init__(first.sentence + rest, first.line, first.column)

    def show(self) -> str:
        """Every problem with its line and a caret."""
        return "\n".join(p.show() for p in self.problems)


class Report:
    """Collects the problems of one text."""

    def __init__(self, text: str) -> None:
        """Keep the lines, to show them."""
        self._lines = text.split("\n")
        self.problems: list[Problem] = []

    def add(self, at: tuple[int, int], message: str, hint: str = "") -> None:
        """One more problem, at (line, column)."""
        line, column = at
        self.problems.append(Problem(line, column, message, self._lines[line - 1].rstrip("\r"), hint))

    def settle(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            RulesError: with every problem.
        """
        if self.problems:
            raise RulesError(self.problems)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Which of the known names was probably meant? Empty if none is near.

    >>> nearest("is_larg_trade", ["is_large_trade", "structuring"])
    'is_large_trade'
    """
    return next(iter(get_close_matches(word[:100], list(known), 1, cutoff)), "")


def shown(text: str) -> str:
    """A text from outside, quoted and cut, for a message.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'..."
    """
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."
