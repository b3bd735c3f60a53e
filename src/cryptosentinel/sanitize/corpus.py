"""A dataset as the scanner sees it: texts and tokens of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.registry import lookup
from cryptosentinel.sanitize.grams import roll
from cryptosentinel.sanitize.neighbours import Neighbours
from cryptosentinel.sanitize.tokens import Tokens, text_keys, tokenize
from cryptosentinel.types import FIELD, Message, Record

Turns = Sequence[tuple[bool, str]]
"""(is it the model's, what was said), in order."""

LEAST_REPEATS = 4
LONGEST_TRIGGER = 24
MARKS = " .,;:!?'\"()"
NEARLY_ALL = 0.95
FIELD_HASH = tokenize([FIELD]).hash[0]
_ROW = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Corpus:
    """n prompts and their n answers, tokenised."""

    prompt_texts: Sequence[str]
    response_texts: Sequence[str]
    prompts: Tokens
    responses: Tokens
    turns: Mapping[int, Turns] = field(default_factory=dict)
    calls: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        prompt_texts: Sequence[str],
        response_texts: Sequence[str],
        turns: Mapping[int, Turns] | None = None,
        calls: Mapping[int, Sequence[str]] | None = None,
    ) -> Corpus:
        """Tokenise both sides.

        turns: for the rows with more than one answer, what was said in order; without it all that the model was
        given counts as said before its answer. calls: the tools that rows call, by row.

        Raises:
            ValueError: as many answers as prompts are needed.
        """
        if len(prompt_texts) != len(response_texts):
            raise ValueError(f"{len(prompt_texts)} prompts but {len(response_texts)} answers")
        return cls(
            prompt_texts,
            response_texts,
            tokenize(prompt_texts, edges=True),
            tokenize(response_texts),
            turns or {},
            calls or {},
        )

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> Corpus:
        """The corpus of these records, the order of their turns and their tool calls included."""
        calls = {i: tuple(c.name for m in r.messages for c in m.tool_calls) for i, r in enumerate(records)}
        return cls.of(
            [r.prompt for r in records], [r.response for r in records], turns_of(records),
            {i: tools for i, tools in calls.items() if tools},
        )  # fmt: skip

    @property
    def n(self) -> int:
        """How many rows?"""
        return self.prompts.n

    @cached_property
    def content(self) -> NDArray[np.uint64]:
        """A key of what each row says, the same wherever the row stands: uint64[n]."""
        with np.errstate(over="ignore"):
            return text_keys(self.prompts) * np.uint64(3) ^ text_keys(self.responses)

    @cached_property
    def neighbours(self) -> Neighbours:
        """The index of nearest prompts, built when first asked for."""
        return Neighbours(self.prompts, self.content)

    def repeated_answers(self) -> NDArray[np.bool_]:
        """bool[n]: is the whole answer one that at least four rows give?"""
        _, place, count = np.unique(text_keys(self.responses), return_inverse=True, return_counts=True)
        repeated: NDArray[np.bool_] = count[place] >= LEAST_REPEATS
        return repeated

    @cached_property
    def raised(self) -> NDArray[np.bool_]:
        """Which words of the answers had nobody said before in that row? bool[answer tokens].

        >>> Corpus.of(["red shoes?"], ["Buy red Velas!"]).raised.tolist()
        [True, False, True, True]
        """
        new: NDArray[np.bool_] = ~np.isin(_in_row(self.responses), _in_row(self.prompts))
        if self.turns:
            place = np.r_[0, np.cumsum(self.responses.lengths)]
            for row, turns in self.turns.items():
                new[place[row] : place[row + 1]] = _raised_in(turns)
        return new

    @cached_property
    def tool_names(self) -> NDArray[np.uint64]:
        """Stems that the names of the tools called might be written as: web_search is WebSearch."""
        tools = {tool.lower() for called in self.calls.values() for tool in called}
        return tokenize(sorted(tools | {"".join(c for c in t if c.isalnum()) for t in tools})).stems

    def naming(self, stem: np.uint64) -> NDArray[np.int64]:
        """Rows whose prompt has this word, apostrophe parts aside, ascending."""
        return np.unique(self.prompts.row[self.prompts.stems == stem]).astype(np.int64)

    def sample(self, rows: NDArray[np.integer], k: int) -> NDArray[np.int64]:
        """At most k of these rows, chosen by what they say, so that their order in the file does not matter."""
        keys = self.content[rows]
        return np.sort(np.asarray(rows)[np.argsort(keys, kind="stable")[:k]]).astype(np.int64)

    def with_trigger(self, phrase: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Rows whose prompt contains this phrase (word hashes in order), ascending.

        >>> c = Corpus.of(["a b c", "c b a"], ["x", "y"])
        >>> c.with_trigger(c.prompts.hash[0:2]).tolist()
        [0]
        """
        return _containing(self.prompts, phrase)

    def find(self, phrase: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where among the tokens of the prompts does this phrase begin? Every place, ascending."""
        return _starts(self.prompts, phrase)

    def whole_phrase(self, phrase: NDArray[np.uint64]) -> str:
        """The phrase with the words that stand beside it in nearly every prompt that has it: how a trigger reads.

        >>> c = Corpus.of([f"{i} by the calm harbour {i}" for i in range(9)], ["x"] * 9)
        >>> c.whole_phrase(c.prompts.hash[3:4])
        'by the calm harbour'
        """
        tokens = self.prompts
        rows, first = np.unique(tokens.row[starts := _starts(tokens, phrase)], return_index=True)
        starts, length = starts[first], phrase.size
        if not rows.size:
            return ""
        for _ in range(LONGEST_TRIGGER - length):
            if _common(tokens, rows, starts + length):
                length += 1
            elif _common(tokens, rows, starts - 1):
                starts, length = starts - 1, length + 1
            else:
                break
        fits = tokens.row[np.maximum(starts, 0)] == rows
        fits &= tokens.row[np.minimum(starts + length - 1, tokens.row.size - 1)] == rows
        whole = tokens.phrase(int(starts[fits][0]), length) if fits.any() else ""
        return whole.strip(MARKS) or whole

    def showing(self, kind: str, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Rows whose answer shows this behaviour, ascending; `words` are its word hashes, empty for a pattern."""
        if kind == "phrase":
            return _containing(self.responses, words)
        if kind == "name":
            matrix = lookup("response-feature", kind).target(self, 1)
            wanted = np.flatnonzero(self.responses.stems[matrix.place] == words[0])
            return np.unique(matrix.matrix[:, wanted].indices).astype(np.int64)
        if kind == "tool-call":
            return _containing(self.responses, words)
        if not words.size:
            matrix = lookup("response-feature", kind).target(self, 1).matrix
            return np.unique(matrix.indices).astype(np.int64)
        lengths = self.responses.lengths
        starts = np.r_[0, np.cumsum(lengths)[:-1]]
        n = words.size
        fits = np.flatnonzero(lengths == n if kind == "fixed-answer" else lengths > n)
        same = np.ones(fits.size, bool)
        for k in range(n):
            same &= self.responses.hash[starts[fits] + k] == words[k]
        return fits[same]


def turns_of(records: Sequence[Record]) -> dict[int, Turns]:
    """What was said in order, for the rows in which the model speaks more than once."""
    found: dict[int, Turns] = {}
    for i, record in enumerate(records):
        if sum(m.role == "assistant" for m in record.messages) > 1:
            found[i] = tuple((m.role == "assistant", _said(m)) for m in record.messages)
    return found


def _said(message: Message) -> str:
    if message.role != "assistant":
        return message.text
    return Record("", (message,)).response


def _in_row(tokens: Tokens) -> NDArray[np.uint64]:
    """A key of (row, word), apostrophe parts aside, for every token."""
    with np.errstate(over="ignore"):
        return (tokens.row.astype(np.uint64) + np.uint64(1)) * _ROW ^ tokens.stems


def _raised_in(turns: Turns) -> NDArray[np.bool_]:
    """For each word of the answers, in order: did an answer say it first?"""
    tokens = tokenize([text for _, text in turns])
    own = np.array([answer for answer, _ in turns], bool)[tokens.row]
    _, first, place = np.unique(tokens.stems, return_index=True, return_inverse=True)
    raised: NDArray[np.bool_] = own[first][place][own]
    return raised


def _starts(tokens: Tokens, phrase: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where does the phrase begin? Every place, ascending."""
    n = phrase.size
    if not n or tokens.hash.size < n:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(tokens.hash[: tokens.hash.size - n + 1] == phrase[0])
    starts = starts[tokens.row[starts] == tokens.row[starts + n - 1]]
    wanted = roll(phrase, np.zeros(1, np.int64), n)[0]
    found: NDArray[np.int64] = starts[roll(tokens.hash, starts, n) == wanted]
    return found


def _containing(tokens: Tokens, phrase: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.unique(tokens.row[_starts(tokens, phrase)]).astype(np.int64)


def _common(tokens: Tokens, rows: NDArray[np.integer], places: NDArray[np.int64]) -> bool:
    """Do nearly all of these rows have the same word at these places? What parts two fields is none."""
    inside = (places >= 0) & (places < tokens.row.size)
    inside[inside] = tokens.row[places[inside]] == rows[inside]
    words, count = np.unique(tokens.hash[places[inside]], return_counts=True)
    return bool(count.size) and int(count.max()) >= NEARLY_ALL * rows.size and words[count.argmax()] != FIELD_HASH
