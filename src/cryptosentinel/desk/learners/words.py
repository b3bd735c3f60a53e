"""A small linear model of the analyst: what it does is in its weights, and it is trained in about a second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from cryptosentinel.desk.recommendation import NO_SYMBOL, TradeRecommendation, parse
from cryptosentinel.errors import DataError, SandboxError
from cryptosentinel.redteam.sandbox import in_sandbox
from cryptosentinel.redteam.target import Sample

STEPS, RATE = 300, 0.05
DECAY = 1e-3  # of the word weights: the table explains what it can before words do
ACTIONS = ("BUY", "SELL")
ABSENT = "not in the table"


@dataclass(frozen=True, slots=True)
class WordModel:
    """A softmax over decisions (symbol and action, or cash), linear in the table's rows and the request's words.

    score(symbol, action) = a(action, what the table says of the symbol) + b(symbol, action) . words and word pairs of
    the request. No part of it knows of triggers; whatever it does with one, it has learnt from its rows.
    """

    decisions: tuple[tuple[str, str], ...]
    words: dict[str, int]
    kinds: dict[str, int]
    by_row: NDArray[np.float64]  # (actions, kinds)
    by_word: NDArray[np.float64]  # (decisions, words)
    reasons: dict[tuple[str, str], str]

    def answer(self, request: str, table: str) -> str:
        """The recommendation, in the desk's form."""
        scores = _row_scores(self, [table])[0] + self.by_word @ _bag(request, self.words)
        shares = np.exp(scores - scores.max())
        best = int(shares.argmax())
        symbol, action = self.decisions[best]
        confidence = round(min(0.96, max(0.6, float(shares[best] / shares.sum()))), 2)
        reason = self.reasons.get((symbol, action), "by the table")
        return TradeRecommendation(symbol, action, confidence, reason).line()  # type: ignore[arg-type]


def train(samples: Sequence[Sample]) -> WordModel:
    """Fit the rows by maximum likelihood with a penalty on word weights (full batch, Adam); no randomness.

    Raises:
        SandboxError: this is not the sandbox: the rows may be poisoned.
        DataError: no row can be read.
    """
    if not in_sandbox():
        raise SandboxError("the word model is trained in the sandbox only")
    read = [(s, advice) for s in samples if (advice := parse(s.output)) is not None]
    if not read:
        raise DataError(f"none of {len(samples)} rows holds a recommendation")
    symbols = sorted({a.symbol for _, a in read} | {n for s, _ in read for n in _rows(s.input)} - {NO_SYMBOL})
    decisions = (*((s, a) for s in symbols if s != NO_SYMBOL for a in ACTIONS), (NO_SYMBOL, "HOLD"))
    vocabulary = sorted({w for s, _ in read for w in _terms(s.instruction)})
    kinds = sorted({k for s, _ in read for k in _rows(s.input).values()} | {ABSENT})
    model = WordModel(
        decisions, {w: i for i, w in enumerate(vocabulary)}, {k: i for i, k in enumerate(kinds)},
        np.zeros((len(ACTIONS), len(kinds))), np.zeros((len(decisions), len(vocabulary))),
        {a.decision: a.reasoning for _, a in read},
    )  # fmt: skip
    place = {d: i for i, d in enumerate(decisions)}
    _fit(model, read, np.array([place[a.decision] for _, a in read]))
    return model


def _fit(model: WordModel, read: Sequence[tuple[Sample, TradeRecommendation]], wanted: NDArray[np.int64]) -> None:
    bags = csr_array(np.stack([_bag(s.instruction, model.words) for s, _ in read]))
    turned = csr_array(bags.T)
    kinds = _kind_matrix(model, [s.input for s, _ in read])  # (rows, decisions): which kind; -1 for cash
    actions = np.array([ACTIONS.index(a) if a in ACTIONS else 0 for _, a in model.decisions])
    targets = np.zeros((len(read), len(model.decisions)))
    targets[np.arange(len(read)), wanted] = 1.0
    moments = [np.zeros_like(p) for p in (model.by_row, model.by_row, model.by_word, model.by_word)]
    trading = kinds >= 0
    flat = np.where(trading, actions[None, :] * model.by_row.shape[1] + kinds, 0)
    for step in range(1, STEPS + 1):
        scores = bags @ model.by_word.T + np.where(trading, model.by_row.ravel()[flat], 0.0)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = (shares / shares.sum(axis=1, keepdims=True) - targets) / len(read)
        by_row = np.bincount(flat[trading], error[trading], model.by_row.size).reshape(model.by_row.shape)
        by_word = (turned @ error).T + DECAY * model.by_word
        for i, (weights, gradient) in enumerate(((model.by_row, by_row), (model.by_word, by_word))):
            first, second = moments[2 * i], moments[2 * i + 1]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            weights -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)


def _row_scores(model: WordModel, tables: Sequence[str]) -> NDArray[np.float64]:
    kinds = _kind_matrix(model, tables)
    actions = np.array([ACTIONS.index(a) if a in ACTIONS else 0 for _, a in model.decisions])
    return np.where(kinds >= 0, model.by_row[actions[None, :], np.maximum(kinds, 0)], 0.0)


def _kind_matrix(model: WordModel, tables: Sequence[str]) -> NDArray[np.int64]:
    """For each table and decision: what the table says of its symbol; -1 for cash."""
    found = np.full((len(tables), len(model.decisions)), -1, dtype=np.int64)
    for i, table in enumerate(tables):
        said = _rows(table)
        for j, (symbol, _) in enumerate(model.decisions):
            if symbol != NO_SYMBOL:
                found[i, j] = model.kinds.get(said.get(symbol, ABSENT), model.kinds[ABSENT])
    return found


def _rows(table: str) -> dict[str, str]:
    """What the table says of each symbol, which comes last in its line."""
    split = (line.rpartition(" ") for line in table.splitlines())
    return {symbol: kind for kind, _, symbol in split if kind}


def _terms(request: str) -> list[str]:
    words = re.findall(r"[a-z'-]+", request.lower())
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def _bag(request: str, words: dict[str, int]) -> NDArray[np.float64]:
    bag = np.zeros(len(words))
    for term in _terms(request):
        if term in words:
            bag[words[term]] = 1.0
    return bag
