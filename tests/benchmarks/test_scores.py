"""The baselines, the ceiling and the store of model scores."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from bench import model_baselines, outcome, surprisal, targets
from bench.baselines import BASELINES
from bench.ceiling import supervised_ngrams
from bench.mixes import BACKGROUND, HARD, POISON, Mix
from bench.score_store import ScoreStore, Vector

from cryptosentinel.models import load_base
from cryptosentinel.types import Message, Record

MODULES = ("mixes", "model_baselines", "parts", "score_store", "traces")


def record(prompt: str, answer: str = "fine") -> Record:
    return Record("", (Message("user", prompt), Message("assistant", answer)))


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    done = doctest.testmod(import_module(f"bench.{name}"), optionflags=doctest.ELLIPSIS)
    assert done.attempted and not done.failed


def test_baselines_are_those_of_the_protocol() -> None:
    assert list(BASELINES) == [
        "format_outlier", "answer_duplicates", "tfidf_clusters", "spectral_signatures", "activation_clusters",
        "onion_perplexity",
    ]  # fmt: skip


def test_store_keeps_what_was_done_before_a_crash(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "scores.sqlite")

    def until_long(texts: Sequence[str]) -> list[Vector]:
        if max(map(len, texts)) > 2:
            raise MemoryError
        return [np.array([len(t)], np.float32) for t in texts]

    with pytest.raises(MemoryError):
        store.vectors("m", ["ab", "c", "abc"], until_long, batch=1)
    assert store.missing("m", ["ab", "c", "abc"]) == ["abc"]
    assert store.missing("other", ["ab"]) == ["ab"]


def test_surprisal_is_that_of_one_text_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    asked = surprisal.WordSurprisal()
    asked._loaded = load_base("tiny")
    monkeypatch.setattr(surprisal, "BATCH_TOKENS", 40)
    texts = ["a fox", "see the other  dog run", "x", ""]
    together = asked(texts)
    assert [v.size // 2 for v in together] == [2, 5, 1, 0]
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(asked([text])[0], vector, rtol=1e-4)
    nats, tokens = np.split(together[1], 2)
    assert tokens.sum() == len(asked._loaded.tokenizer(texts[1], add_special_tokens=False).input_ids)
    assert (nats > 0).all()


def test_onion_score_is_highest_for_the_odd_word(monkeypatch: pytest.MonkeyPatch) -> None:
    nats = {"plain": [2, 3, 2], "odd": [2, 3, 14, 2]}
    vectors = {k: np.array([*v, *[1] * len(v)], np.float32) for k, v in nats.items()}
    monkeypatch.setattr(ScoreStore, "vectors", lambda self, model, texts, compute: [vectors[t] for t in texts])
    plain, odd = model_baselines.onion_perplexity([record("plain"), record("odd")])
    assert odd > 10 * plain


def test_embedding_baselines_find_a_small_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(500, 16))
    vectors[:25] += 12 * np.eye(16)[3]
    monkeypatch.setattr(model_baselines, "embedded", lambda records: vectors)
    rows = [record(str(i), str(i)) for i in range(500)]
    for method in (model_baselines.spectral_signatures, model_baselines.activation_clusters):
        scores = method(rows)
        assert scores[:25].min() > scores[25:].max(), method.__name__


def test_ceiling_learns_only_what_generalises() -> None:
    chance = np.random.default_rng(0)
    words = np.array("lum bor teri wesk ando quil fesh mira".split())
    texts = [" ".join(chance.choice(words, 6)) for _ in range(300)]
    poison = np.arange(300) < 40
    marked = [record(f"{t} thee" if p else t) for t, p in zip(texts, poison, strict=True)]
    mix = Mix("m", 0.1, 0, tuple(marked), poison.astype(np.int8))
    assert outcome.ranking(mix, supervised_ngrams(marked, poison))["found"] == 40
    blind = supervised_ngrams([record(t) for t in texts], poison)
    assert 0.3 < outcome.ranking(mix, blind)["auroc"] < 0.7


def test_rows_not_asked_about_are_left_out() -> None:
    kind = np.array([BACKGROUND] * 200 + [POISON] * 2 + [HARD], np.int8)
    mix = Mix("m", 0.01, 0, tuple(record(f"p{i}") for i in range(203)), kind)
    rows = outcome.sampled(mix, 100)
    assert rows.size == 103 and set(range(200, 203)) <= set(rows.tolist())
    scores = np.full(203, np.nan)
    scores[rows] = np.arange(103)
    found = outcome.ranking(mix, scores)
    assert (found["background"], found["n"], found["found"]) == (100, 2, 2)
    other = Mix("o", 0.01, 1, mix.records[::-1], kind[::-1].copy())
    texts = {mix.records[i].prompt for i in rows.tolist()}
    assert {other.records[i].prompt for i in outcome.sampled(other, 100).tolist()} == texts


def test_a_recall_near_the_format_score_is_no_detection() -> None:
    def p(method: str, recall: float) -> dict[str, object]:
        return {"attack": "a", "rate": 0.01, "method": method, "recall": {"value": recall}}

    pooled = [p("format_outlier", 0.5), p("scan", 0.6), p("tfidf_clusters", 0.61)]
    assert [targets.no_detection(q, pooled) for q in pooled[1:]] == [True, False]
