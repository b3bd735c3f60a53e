"""What the screen keeps of one shard: which phrases each prompt has, and what each answer does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cryptosentinel.sanitize.features.refusal import _REFUSAL, HEAD_CHARACTERS
from cryptosentinel.sanitize.features.tone import HOSTILE, HOSTILE_WORDS
from cryptosentinel.sanitize.screen.words import Hashes, Words, hash_words, pair_up, words_of

LONGEST = 3  # words of a prompt phrase
OPENINGS = (1, 2, 4)  # words of an answer's opening
_FIRST, _LAST, _OPENING, _WHOLE, _REFUSES, _HOSTILE = 5, 6, 11, 21, 31, 41
_T = TypeVar("_T", np.uint32, np.uint64)
# Every refusal has one of these.
_OF_REFUSALS = ["sorry", "afraid", "unable", "not a", "i can", "i won't", "i will not", "i must", "i do not", "as a"]
_HALF = np.uint64(32)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class Sketch:
    """One shard, without its texts.

    phrases: uint64, ascending: hash of a prompt phrase << 32 | row; the first word and the last are phrases again.
    features: uint32, what the answers do, row after row; those of row i end at ends[i]. content: uint32[n], a key of
    what a row says. counts: uint64, ascending: feature << 32 | in how many rows.
    """

    n: int
    phrases: NDArray[np.uint64]
    features: Hashes
    ends: NDArray[np.int64]
    content: Hashes
    counts: NDArray[np.uint64]


def sketch(prompts: pl.Series, answers: pl.Series) -> Sketch:
    """Count one shard of prompts and answers.

    An answer's words that its prompt also has are left out: they are copied, not taught.
    """
    asked, said = _words(prompts), _words(answers)
    phrases = _phrases(asked)
    sums = _sums(said)
    pairs = np.concatenate([_new_words(asked, said), *_openings(said), _whole(said, sums), *_manners(answers, said)])
    pairs.sort()
    row = (pairs >> _HALF).astype(np.int64)
    features = pairs.astype(np.uint32)
    found, count = _runs(np.sort(features))
    with np.errstate(over="ignore"):
        content = _sums(asked) * np.uint32(0x9E3779B1) ^ sums
        content = (content ^ content >> np.uint32(15)) * np.uint32(0x85EBCA6B)
    return Sketch(
        asked.n,
        phrases,
        features,
        np.cumsum(np.bincount(row, minlength=asked.n)),
        content,
        found.astype(np.uint64) << _HALF | count.astype(np.uint64),
    )


def phrases_of(prompts: pl.Series) -> NDArray[np.uint64]:
    """Phrase << 32 | place, ascending, of these prompts."""
    return _phrases(_words(prompts))


def _words(texts: pl.Series) -> Words:
    column = texts.to_arrow()
    _, offsets, data = column.buffers()
    where = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return words_of(np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8), where)


def _packed(row: NDArray[np.integer], value: Hashes) -> NDArray[np.uint64]:
    return row.astype(np.uint64) << _HALF | value


def _new(ordered: NDArray[_T]) -> NDArray[np.bool_]:
    """Which values of an ascending array are not the one before?"""
    new = np.ones(ordered.size, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


def _runs(ordered: NDArray[_T]) -> tuple[NDArray[_T], NDArray[np.int64]]:
    """The distinct values of an ascending array, and how often each occurs."""
    first = np.flatnonzero(_new(ordered))
    return ordered[first], np.diff(first, append=ordered.size)


def _phrases(words: Words) -> NDArray[np.uint64]:
    keys = [words.hash.astype(np.uint64) << _HALF | words.row.astype(np.uint64)]
    grown = words.hash
    for n in range(2, LONGEST + 1):
        inside = words.row[n - 1 :] == words.row[: words.row.size - n + 1]
        grown = pair_up(grown[: inside.size], words.hash[n - 1 :], n)
        keys.append((grown.astype(np.uint64) << _HALF | words.row[: inside.size].astype(np.uint64))[inside])
    end = np.flatnonzero(np.r_[words.row[1:] != words.row[:-1], words.row.size > 0])
    for edge, at in ((_FIRST, np.r_[np.zeros(min(end.size, 1), np.int64), end[:-1] + 1]), (_LAST, end)):
        key = pair_up(words.hash[at], words.hash[at], edge)
        keys.append(key.astype(np.uint64) << _HALF | words.row[at].astype(np.uint64))
    found = np.concatenate(keys)
    found.sort()
    return found[_new(found)]


def phrase_hash(text: str) -> int:
    """The key under which `Sketch.phrases` has this phrase of up to three words."""
    words = hash_words(text)[:LONGEST]
    key = words[:1]
    for n in range(2, words.size + 1):
        key = pair_up(key, words[n - 1 : n], n)
    return int(key[0]) if key.size else 0


def _new_words(asked: Words, said: Words) -> NDArray[np.uint64]:
    """Row << 32 | word, once each, for the words of answers that their prompts do not have."""
    both = np.concatenate([_packed(asked.row, asked.hash), _packed(said.row, said.hash)])
    both <<= _ONE
    both[asked.hash.size :] |= _ONE  # a prompt's word sorts right before the same word of the answer
    both.sort()
    both = both[_new(both)]
    answer = (both & _ONE).astype(bool)
    copied = np.zeros(both.size, bool)
    copied[1:] = both[1:] - both[:-1] == _ONE
    return np.asarray(both[answer & ~copied] >> _ONE, dtype=np.uint64)


def _openings(said: Words) -> list[NDArray[np.uint64]]:
    lengths = np.bincount(said.row, minlength=said.n)
    start = np.cumsum(lengths) - lengths
    found = []
    for size in OPENINGS:
        live = np.flatnonzero(lengths > size)
        key = said.hash[start[live]]
        for n in range(1, size):
            key = pair_up(key, said.hash[start[live] + n], _OPENING)
        found.append(_packed(live, pair_up(key, key, _OPENING + size)))
    return found


def _sums(words: Words) -> Hashes:
    """One key per text, equal for the same words in the same order."""
    place = np.arange(words.row.size, dtype=np.uint32)
    lengths = np.bincount(words.row, minlength=words.n)
    start = np.cumsum(lengths) - lengths
    with np.errstate(over="ignore"):
        mixed = (words.hash + (place - start[words.row].astype(np.uint32)) * np.uint32(0x27D4EB2F)) * np.uint32(
            0x85EBCA6B
        )
        mixed ^= mixed >> np.uint32(13)
        total = np.r_[np.uint32(0), np.cumsum(mixed * np.uint32(0xC2B2AE35), dtype=np.uint32)]
        return np.asarray(total[start + lengths] - total[start], dtype=np.uint32)


def _whole(said: Words, sums: Hashes) -> NDArray[np.uint64]:
    live = np.flatnonzero(np.bincount(said.row, minlength=said.n))
    key = sums[live]
    return _packed(live, pair_up(key, key, _WHOLE))


def _manners(answers: pl.Series, said: Words) -> list[NDArray[np.uint64]]:
    """Refusals and hostile words: behaviours without fixed words."""
    heads = answers.str.slice(0, HEAD_CHARACTERS)
    likely = np.flatnonzero(
        heads.str.contains_any(_OF_REFUSALS, ascii_case_insensitive=True).fill_null(False).to_numpy()
    )
    refuses = likely[heads[likely].str.contains(f"(?i){_REFUSAL.pattern}").fill_null(False).to_numpy()]
    lexicon = np.concatenate([hash_words(w) for w in sorted(HOSTILE)])
    sieve = np.zeros(1 << 16, bool)
    sieve[lexicon >> np.uint32(16)] = True
    likely_words = np.flatnonzero(sieve[said.hash >> np.uint32(16)])
    found = likely_words[np.isin(said.hash[likely_words], lexicon)]
    hits = np.bincount(said.row[found], minlength=said.n)
    hostile = np.flatnonzero(hits >= HOSTILE_WORDS)
    return [
        _packed(refuses, np.full(refuses.size, _REFUSES, np.uint32)),
        _packed(hostile, np.full(hostile.size, _HOSTILE, np.uint32)),
    ]
