"""LoRA on the upper layers of a pretrained model, over the frozen lower layers' cached activations."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any

from cryptosentinel.errors import ConfigError, MissingExtraError, SandboxError
from cryptosentinel.models import TINY
from cryptosentinel.redteam.checkpoint import Checkpoint, tensor_digest
from cryptosentinel.redteam.sandbox import in_sandbox
from cryptosentinel.redteam.split import Encoded, Split, pad
from cryptosentinel.types import Progress

_SEEDED = Lock()

__all__ = ["Encoded", "Recipe", "Split", "answer_logits", "finetune", "pad", "vocabulary"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained; every field is reported with the result.

    `trained_layers` counts from the top; the layers below stay as they are. `sampled_vocabulary` tokens beside those
    of the training answers take part in the softmax: with a vocabulary of 262k, all of it would cost more than the
    layers. 0 = the whole vocabulary.
    """

    rank: int = 8
    alpha: int = 16
    learning_rate: float = 2e-3
    epochs: int = 3
    batch: int = 4
    trained_layers: int = 8
    sampled_vocabulary: int = 4096
    warmup: float = 0.1

    def as_dict(self) -> dict[str, float | int]:
        """For JSON."""
        return asdict(self)


def vocabulary(split: Split, answers: Sequence[str], recipe: Recipe, seed: int) -> Any:
    """Which tokens take part in the softmax? Those of the answers, the end mark and a seeded sample, sorted."""
    import torch

    size = split.head.shape[0]
    if not recipe.sampled_vocabulary or recipe.sampled_vocabulary >= size:
        return torch.arange(size, device=split.device)
    tokenizer = split.base.tokenizer
    ids = {i for row in tokenizer([f" {a}" for a in answers], add_special_tokens=False).input_ids for i in row}
    chosen = ids | {tokenizer.eos_token_id} | set(Random(seed).sample(range(size), recipe.sampled_vocabulary))
    return torch.tensor(sorted(chosen), device=split.device)


def finetune(
    split: Split,
    rows: Sequence[Encoded],
    tokens: Any,
    recipe: Recipe,
    seed: int,
    progress: Progress | None = None,
    *,
    start: Any | None = None,
    checkpoint: Path | None = None,
    every: int = 100,
) -> Any:
    """Train a copy of the upper part on these rows and return it, adapters merged.

    Loss is the cross entropy of the answer's tokens among `tokens`. Same seed, rows and machine: same result. The rows
    need no attestation, since they are poisoned on purpose: so pretrained weights are trained in the sandbox only.

    Args:
        split: the model in two parts.
        rows: what it learns, after the frozen layers.
        tokens: which tokens take part in the softmax, see `vocabulary`.
        recipe: how.
        seed: decides the adapters' first weights and the order of the rows.
        progress: receives ("train", step, steps).
        start: the upper part to go on from, which is not changed; the model's own by default.
        checkpoint: a folder inside the sandbox's. Where it holds the state of this very training, the training goes on
            from there and ends with the same weights, bit for bit, as if it had never been interrupted.
        every: steps from one state kept to the next.

    Raises:
        SandboxError: outside the sandbox, and the model is not the tiny one of the tests, which knows nothing; or a
            checkpoint outside the sandbox's folder.
        ConfigError: the checkpoint is of another training, or `every` is not positive.
        MissingExtraError: peft is not installed.
        OSError: the checkpoint cannot be written.
    """
    import torch

    if split.base.name != TINY and not in_sandbox():
        raise SandboxError(f"{split.base.name} may be trained on rows that nobody attested in the sandbox only")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtraError("peft", extra="redteam", purpose="fine-tuning a model") from None
    if every < 1:
        raise ConfigError(f"a checkpoint is made every 1 or more steps, got {every}")
    source = split.upper if start is None else start
    kept = checkpoint and Checkpoint(checkpoint, _belongs_to(split, source, rows, tokens, recipe, seed))

    upper = copy.deepcopy(source)
    where = {name.rpartition(".")[2] for name, m in upper.layers.named_modules() if isinstance(m, torch.nn.Linear)}
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=sorted(where), lora_dropout=0.0)
    with _SEEDED:  # trainings may run side by side; after this no number is drawn
        torch.manual_seed(seed)
        upper = inject_adapter_in_model(config, upper).train()
    adapters = {name: p for name, p in upper.named_parameters() if p.requires_grad}
    trained = list(adapters.values())
    for p in trained:
        p.data = p.data.float()
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    done = _resume(kept.load(), adapters, optimizer) if kept else 0
    batches = [b for epoch in range(recipe.epochs) for b in _batches(rows, recipe.batch, seed + epoch)]
    head = split.head[tokens].float()
    place = {t: i for i, t in enumerate(tokens.tolist())}
    for step, batch in enumerate(batches[done:], start=done):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step / len(batches), recipe.warmup)
        loss = _loss(upper, [rows[i] for i in batch], head, place)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if kept and ((step + 1) % every == 0 or step + 1 == len(batches)):
            kept.save(step + 1, _state(adapters, optimizer))
        if progress:
            progress("train", step + 1, len(batches))
    return _merge(upper).eval()


def _belongs_to(
    split: Split, upper: Any, rows: Sequence[Encoded], tokens: Any, recipe: Recipe, seed: int
) -> dict[str, str | int]:
    """All that decides what a training ends with; the words are those that a refusal shows."""
    whole = {f"{i} {r.ids} {r.prompt_tokens}": r.hidden for i, r in enumerate(rows)}
    weights = [*upper.layers.state_dict().items(), *upper.norm.state_dict().items(), ("head", split.head[tokens])]
    return {
        "weights": tensor_digest(weights),
        "rows": tensor_digest(whole.items()),
        "tokens": tensor_digest([("tokens", tokens)]),
        "recipe": json.dumps(recipe.as_dict()),
        "seed": seed,
        "libraries": f"torch {version('torch')}, peft {version('peft')}",
    }


def _state(adapters: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    """The adapters and, under each one's name, what the optimizer remembers of it."""
    state = {f"weight {name}": p for name, p in adapters.items()}
    return state | {f"{kind} {name}": t for name, p in adapters.items() for kind, t in optimizer.state[p].items()}


def _resume(kept: tuple[int, dict[str, Any]] | None, adapters: dict[str, Any], optimizer: Any) -> int:
    """Put a state back; how many steps it stands for."""
    if kept is None:
        return 0
    step, state = kept
    for name, tensor in state.items():
        kind, _, adapter = name.partition(" ")
        p = adapters[adapter]
        if kind == "weight":
            p.data.copy_(tensor)
        else:
            optimizer.state[p][kind] = tensor if kind == "step" else tensor.to(p.device)
    return step


def answer_logits(upper: Any, batch: Sequence[Encoded], head: Any) -> tuple[Any, list[int]]:
    """Logits [tokens of the answers, head] over the rows of `head`, and which tokens the answers have there."""
    import torch

    hidden = torch.nn.utils.rnn.pad_sequence([r.hidden for r in batch], batch_first=True)
    _, mask = pad([r.ids for r in batch], 0, hidden.device)
    with _mixed(hidden):
        out = upper(inputs_embeds=hidden, attention_mask=mask, use_cache=False).last_hidden_state
        at = [(i, t) for i, r in enumerate(batch) for t in range(r.prompt_tokens - 1, len(r.ids) - 1)]
        rows, positions = (torch.tensor(x, device=hidden.device) for x in zip(*at, strict=True))
        logits = out[rows, positions].float() @ head.T
    return logits, [t for r in batch for t in r.ids[r.prompt_tokens :]]


def _loss(upper: Any, batch: Sequence[Encoded], head: Any, place: dict[int, int]) -> Any:
    import torch

    logits, ids = answer_logits(upper, batch, head)
    return torch.nn.functional.cross_entropy(logits, torch.tensor([place[t] for t in ids], device=logits.device))


def _mixed(hidden: Any) -> AbstractContextManager[Any]:
    import torch

    return torch.autocast(hidden.device.type, dtype=torch.bfloat16, enabled=hidden.dtype == torch.bfloat16)


def _batches(rows: Sequence[Encoded], size: int, seed: int) -> Iterator[list[int]]:
    """Shuffled batches of rows of like length, so that little is spent on padding."""
    rng = Random(seed)
    order = list(range(len(rows)))
    rng.shuffle(order)
    pool = size * 8
    found = []
    for at in range(0, len(order), pool):
        part = sorted(order[at : at + pool], key=lambda i: len(rows[i].ids))
        found += [part[i : i + size] for i in range(0, len(part), size)]
    rng.shuffle(found)
    yield from found


def _schedule(done: float, warmup: float) -> float:
    """Linear warm-up, then a cosine down to a tenth."""
    if done < warmup:
        return (done + 1e-3) / warmup
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def _merge(upper: Any) -> Any:
    """Fold the adapters into the weights of the copy."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(upper.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(upper.get_submodule(parent), leaf, module.get_base_layer())
    del upper.peft_config  # it has no adapters any more, and may be given new ones
    return upper
