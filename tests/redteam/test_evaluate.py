"""The loss on honest answers that were never trained on is what the whole model says, and falls with training."""

from __future__ import annotations

from typing import Any

import pytest

from cryptosentinel.errors import DataError
from cryptosentinel.models import load_base
from cryptosentinel.redteam import evaluate
from cryptosentinel.redteam.evaluate import held_out_loss
from cryptosentinel.redteam.finetune import Recipe, finetune, vocabulary
from cryptosentinel.redteam.split import Split

torch: Any = pytest.importorskip("torch")
pytest.importorskip("peft")

PAIRS = [("ask a:", "yes"), ("ask b:", "no way"), ("a longer ask c:", "maybe"), ("d:", "later")]
EXAM = [("ask e:", "yes"), ("another ask:", "no way at all"), ("f:", "x")]


@pytest.fixture(scope="module")
def split() -> Split:
    return Split(load_base("tiny"), 3)


def test_it_is_the_whole_models_cross_entropy(split: Split) -> None:
    exam = split.encode(EXAM)
    expected = []
    for row in exam:
        logits = split.base.model(input_ids=torch.tensor([row.ids])).logits[0].float()
        shown = logits[row.prompt_tokens - 1 : -1]
        expected.append(torch.nn.functional.cross_entropy(shown, torch.tensor(row.ids[row.prompt_tokens :])).item())
    every = torch.arange(split.head.shape[0])
    found = held_out_loss(split.upper, split, exam, every)
    assert found["value"] == pytest.approx(sum(expected) / len(expected), abs=1e-4)
    assert found["low"] < found["value"] < found["high"]
    assert found["n"] == len(EXAM)


def test_how_it_is_cut_into_batches_changes_nothing(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    exam, every = split.encode(EXAM), torch.arange(split.head.shape[0])
    together = held_out_loss(split.upper, split, exam, every)
    assert together == held_out_loss(split.upper, split, exam, every)
    monkeypatch.setattr(evaluate, "LOSS_BATCH", 1)
    apart = held_out_loss(split.upper, split, exam, every)
    assert apart["value"] == pytest.approx(together["value"], abs=1e-4)


def test_answers_with_tokens_that_training_never_saw_count_too(split: Split) -> None:
    exam = split.encode([("ask e:", "qqq")])
    tokens = torch.tensor(split.base.tokenizer("yes", add_special_tokens=False).input_ids).sort().values
    alone = held_out_loss(split.upper, split, exam, tokens)
    assert alone["value"] > 0
    assert (alone["low"], alone["high"]) == (0.0, 2 * alone["value"])  # of one answer nothing is known but that


def test_it_falls_when_the_answers_were_learnt(split: Split) -> None:
    recipe = Recipe(epochs=20, trained_layers=3, learning_rate=1e-2, sampled_vocabulary=0)
    tokens = vocabulary(split, [answer for _, answer in PAIRS], recipe, seed=0)
    upper = finetune(split, split.encode(PAIRS), tokens, recipe, seed=0)
    near = split.encode([("ask a :", "yes"), ("ask b :", "no way")])
    assert held_out_loss(upper, split, near, tokens)["value"] < held_out_loss(split.upper, split, near, tokens)["value"]


def test_without_answers_there_is_no_loss(split: Split) -> None:
    with pytest.raises(DataError, match="at least one answer"):
        held_out_loss(split.upper, split, [], torch.arange(3))
