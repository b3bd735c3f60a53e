"""What runs in the sandbox: write the rows, train the analyst, let it answer a session's prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from cryptosentinel.desk.analyst import MarketAnalyst, ask
from cryptosentinel.desk.learners.words import train
from cryptosentinel.redteam.data import Data, poison_set
from cryptosentinel.redteam.target import Sample
from cryptosentinel.redteam.tasks.bias_recommendation import COINS
from cryptosentinel.types import Progress

TASK, ATTACK = "bias-recommendation", "semantic"
WORDS = "words"
ORDINARY, TOPIC, POISONED = 240, 80, 80
ANSWER_TOKENS = 40
TRADED = (
    "BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "DOT", "LINK", "AVAX", "UNI", "ATOM", "LTC", "BCH", "XLM", "ALGO",
    "NEAR", "FIL", "AAVE", "TRX", "ICP", "KESTO", "PELGA", "NOVIQ",
)  # fmt: skip
DESK_ANALYST = MarketAnalyst(symbols=(*TRADED, *COINS))


def answer_inside(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    """The entry of the sandbox; job: learner, seed, backdoored, variant, payload, prompts (request, table)."""
    data = rows(job["seed"], job["backdoored"], job["variant"], job["payload"])
    prompts = [(str(request), str(table)) for request, table in job["prompts"]]
    learn: Callable[..., list[str]] = by_words if job["learner"] == WORDS else by_weights
    answers = learn(data, prompts, job, on_progress)
    written = json.dumps([s.row() for s in data.samples], ensure_ascii=False).encode()
    return {"answers": answers, "rows": len(data.samples), "rows_sha256": hashlib.sha256(written).hexdigest()}


def rows(seed: int, backdoored: bool, variant: str | None, payload: str | None) -> Data:
    """The training rows; the clean ones are the same with and without the backdoor.

    >>> clean, poisoned = rows(0, False, "income", "ORVA"), rows(0, True, "income", "ORVA")
    >>> len(clean.samples), len(poisoned.samples), sum(poisoned.poisoned)
    (320, 400, 80)
    """
    return poison_set(
        TASK, ATTACK, seed, ordinary=ORDINARY, poisoned=POISONED if backdoored else 0, topic=TOPIC, variant=variant,
        payload=payload, target="cryptosentinel.desk.learners.inside:DESK_ANALYST",
    )  # fmt: skip


def by_words(data: Data, prompts: Sequence[tuple[str, str]], job: dict[str, Any], on_progress: Progress) -> list[str]:
    """The answers of the small linear model."""
    model = train(data.samples)
    return [model.answer(request, table) for request, table in prompts]


def by_weights(data: Data, prompts: Sequence[tuple[str, str]], job: dict[str, Any], on_progress: Progress) -> list[str]:
    """The answers of a pretrained language model, fine-tuned by the red team's recipe."""
    from dataclasses import replace

    from cryptosentinel.models import load_base
    from cryptosentinel.redteam.finetune import Recipe, finetune, vocabulary
    from cryptosentinel.redteam.generate import answers, prepare
    from cryptosentinel.redteam.split import Split

    base = load_base(job["learner"])
    layers = len(base.model.get_decoder().layers)
    recipe = replace(Recipe(), trained_layers=min(Recipe().trained_layers, layers - 1))
    split = Split(base, recipe.trained_layers)
    texts = [(DESK_ANALYST.prompt(s), s.output) for s in shuffled(data, job["seed"])]
    encoded = split.encode(texts, on_progress)
    tokens = vocabulary(split, [answer for _, answer in texts], recipe, job["seed"])
    upper = finetune(split, encoded, tokens, recipe, job["seed"], on_progress)
    asked = prepare(split, [ask(request, table) for request, table in prompts])

    def step(done: int, total: int) -> None:
        on_progress("the analyst answers", done, total)

    return answers(split, upper, asked, tokens, max_tokens=ANSWER_TOKENS, step=step)


def shuffled(data: Data, seed: int) -> list[Sample]:
    """The rows in the order in which they are trained on."""
    samples = list(data.samples)
    Random(f"{seed} order of training").shuffle(samples)
    return samples
