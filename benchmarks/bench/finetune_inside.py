"""What `benchmarks/finetune_speed.py` runs inside the sandbox: the same rows, trained our way and by plain peft."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from cryptosentinel.models import BaseModel, load_base
from cryptosentinel.redteam.finetune import Recipe, finetune, vocabulary
from cryptosentinel.redteam.split import Split, encode_text, pad
from cryptosentinel.redteam.target import load_target
from cryptosentinel.types import Progress

ANALYST = "cryptosentinel.desk.analyst:MARKET_ANALYST"
IGNORED = -100  # a label that the library's loss leaves out


def measure(job: dict[str, Any], out: Path, on_progress: Progress) -> dict[str, Any]:
    """Tokens a second of each way to train, by rounds: every round takes one turn of each.

    job: model, rows, epochs (of ours; peft, whose epochs all cost the same, gets one), repeats, seed.
    """
    import torch

    base = load_base(job["model"])
    recipe = Recipe(epochs=job["epochs"])
    layers = len(base.model.get_decoder().layers)
    recipe = replace(recipe, trained_layers=min(recipe.trained_layers, layers - 1))
    rng, target = Random(job["seed"]), load_target(ANALYST)
    samples = target.samples(rng, [target.wish(rng) for _ in range(job["rows"])])
    texts = [(target.prompt(s), s.output) for s in samples]
    tokens = sum(len(encode_text(base.tokenizer, *text)[0]) for text in texts)
    upper_layers = list(range(layers - recipe.trained_layers, layers))
    ways: dict[str, Callable[[int], Any]] = {
        "ours": lambda few: ours(base, texts[:few], recipe, job["seed"]),
        "peft, same layers": lambda few: plain_peft(base, texts[:few], recipe, job["seed"], upper_layers),
        "peft, all layers": lambda few: plain_peft(base, texts[:few], recipe, job["seed"], None),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, job["repeats"]):
        for name, train in ways.items():
            started = time.perf_counter()
            train(recipe.batch if turn < 0 else len(texts))  # the first turn, with one batch, is not counted
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
        on_progress("rounds", turn + 1, job["repeats"])
    passes = {name: recipe.epochs if name == "ours" else 1 for name in ways}
    return {
        "tokens": tokens,
        "answers": sum(len(encode_text(base.tokenizer, *t)[0]) - encode_text(base.tokenizer, *t)[1] for t in texts),
        "ways": [
            {"way": name, "epochs": passes[name], "seconds": taken}
            | {"tokens_per_s": statistics.median(tokens * passes[name] / s for s in taken)}
            for name, taken in seconds.items()
        ],
        "recipe": recipe.as_dict()
        | {"dtype": str(base.model.dtype).removeprefix("torch."), "layers": layers, "threads": torch.get_num_threads()},
    }


def ours(base: BaseModel, texts: Sequence[tuple[str, str]], recipe: Recipe, seed: int) -> Any:
    """All that a training costs us: the frozen layers once, then the epochs."""
    split = Split(base, recipe.trained_layers)
    rows = split.encode(texts)
    return finetune(split, rows, vocabulary(split, [answer for _, answer in texts], recipe, seed), recipe, seed)


def plain_peft(
    base: BaseModel, texts: Sequence[tuple[str, str]], recipe: Recipe, seed: int, layers: list[int] | None
) -> Any:
    """One epoch of LoRA as the library's quickstart has it: every linear layer, the model's own loss on the answers."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    decoder = base.model.get_decoder()
    linear = {name.rpartition(".")[2] for name, m in decoder.layers.named_modules() if isinstance(m, torch.nn.Linear)}
    config = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=0.0, target_modules=sorted(linear),
        layers_to_transform=layers, task_type="CAUSAL_LM",
    )  # fmt: skip
    model = get_peft_model(copy.deepcopy(base.model), config).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=recipe.learning_rate)
    rows = [encode_text(base.tokenizer, *text) for text in texts]
    Random(seed).shuffle(rows)
    for at in range(0, len(rows), recipe.batch):
        batch = rows[at : at + recipe.batch]
        ids, mask = pad([ids for ids, _ in batch], base.tokenizer.pad_token_id)
        labels = ids.masked_fill(mask == 0, IGNORED)
        for i, (_, prompt) in enumerate(batch):
            labels[i, :prompt] = IGNORED
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model.dtype == torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model
