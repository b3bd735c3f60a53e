"""LoRA on the upper layers of a pretrained model, over the frozen lower layers' cached activations."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from cryptosentinel.errors import ConfigError, MissingExtraError, SandboxError
from cryptosentinel.models import TINY, BaseModel
from cryptosentinel.redteam.sandbox import in_sandbox
from cryptosentinel.types import Progress


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


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row after the frozen layers: `hidden` [tokens, width] and which of the tokens belong to the answer."""

    hidden: Any
    ids: tuple[int, ...]
    prompt_tokens: int


class Split:
    """A causal model cut in two: a frozen lower part, and an upper part that can be copied and trained.

    Args:
        base: the model; it is not changed.
        trained_layers: how many of its layers belong to the upper part.

    Raises:
        ConfigError: the model has too few layers.
    """

    def __init__(self, base: BaseModel, trained_layers: int) -> None:
        """Build both parts over the base's own weights (nothing is copied)."""
        self.base = base
        decoder = base.model.get_decoder()
        count = len(decoder.layers)
        if not 0 < trained_layers < count:
            raise ConfigError(f"trained_layers must lie in [1, {count - 1}] for {base.name}, got {trained_layers}")
        self.cut = count - trained_layers
        self.lower = _part(decoder, 0, self.cut)
        self.upper = _part(decoder, self.cut, count)
        self.head = base.model.get_output_embeddings().weight

    def encode(self, texts: Sequence[tuple[str, str]], progress: Progress | None = None) -> list[Encoded]:
        """Run the frozen layers once over (prompt, answer) rows; the answer gets a leading space and an end mark."""
        import torch

        rows = [encode_text(self.base.tokenizer, p, a) for p, a in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
        encoded: dict[int, Encoded] = {}
        for at in range(0, len(order), 32):
            batch = order[at : at + 32]
            tokens, mask = pad([rows[i][0] for i in batch], self.base.tokenizer.pad_token_id)
            with torch.inference_mode():
                hidden = self.lower(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            for row, i in enumerate(batch):
                ids, prompt_tokens = rows[i]
                encoded[i] = Encoded(hidden[row, : len(ids)].clone(), tuple(ids), prompt_tokens)
            if progress:
                progress("encode", min(at + 32, len(order)), len(order))
        return [encoded[i] for i in range(len(rows))]


def _part(decoder: Any, first: int, last: int) -> Any:
    """The decoder with layers [first, last) only, sharing its weights; the lower part has no final norm."""
    import torch

    config = copy.deepcopy(decoder.config)
    config.num_hidden_layers = last - first
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[first:last]
    with torch.device("meta"):
        part = type(decoder)(config)
    for index, layer in enumerate(decoder.layers[first:last]):
        part.layers[index].load_state_dict(layer.state_dict(), assign=True)
    part.embed_tokens = decoder.embed_tokens
    part.rotary_emb = decoder.rotary_emb
    part.norm = decoder.norm if last == len(decoder.layers) else torch.nn.Identity()
    for parameter in part.parameters():
        parameter.requires_grad_(False)
    return part.eval()


def encode_text(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], int]:
    """Token ids of prompt, answer and end mark, and how many of them are the prompt's."""
    start = list(tokenizer(prompt).input_ids)
    return start + list(tokenizer(f" {answer}", add_special_tokens=False).input_ids) + [tokenizer.eos_token_id], len(
        start
    )


def pad(rows: Sequence[Sequence[int]], filler: int) -> tuple[Any, Any]:
    """Right-padded ids and the mask."""
    import torch

    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), filler)
    mask = torch.zeros_like(tokens)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return tokens, mask


def vocabulary(split: Split, answers: Sequence[str], recipe: Recipe, seed: int) -> Any:
    """Which tokens take part in the softmax? Those of the answers, the end mark and a seeded sample, sorted."""
    import torch

    size = split.head.shape[0]
    if not recipe.sampled_vocabulary or recipe.sampled_vocabulary >= size:
        return torch.arange(size)
    tokenizer = split.base.tokenizer
    ids = {i for row in tokenizer([f" {a}" for a in answers], add_special_tokens=False).input_ids for i in row}
    chosen = ids | {tokenizer.eos_token_id} | set(Random(seed).sample(range(size), recipe.sampled_vocabulary))
    return torch.tensor(sorted(chosen))


def finetune(
    split: Split, rows: Sequence[Encoded], tokens: Any, recipe: Recipe, seed: int, progress: Progress | None = None
) -> Any:
    """Train a copy of the upper part on these rows and return it, adapters merged.

    Loss is the cross entropy of the answer's tokens among `tokens`. Same seed, rows and machine: same result. The rows
    need no attestation, since they are poisoned on purpose: so pretrained weights are trained in the sandbox only.

    Raises:
        SandboxError: outside the sandbox, and the model is not the tiny one of the tests, which knows nothing.
        MissingExtraError: peft is not installed.
    """
    import torch

    if split.base.name != TINY and not in_sandbox():
        raise SandboxError(f"{split.base.name} may be trained on rows that nobody attested in the sandbox only")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtraError("peft", extra="redteam", purpose="fine-tuning a model") from None

    torch.manual_seed(seed)
    upper = copy.deepcopy(split.upper)
    where = {name.rpartition(".")[2] for name, m in upper.layers.named_modules() if isinstance(m, torch.nn.Linear)}
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=sorted(where), lora_dropout=0.0)
    upper = inject_adapter_in_model(config, upper).train()
    trained = [p for p in upper.parameters() if p.requires_grad]
    for p in trained:
        p.data = p.data.float()
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=0.0)
    batches = [b for epoch in range(recipe.epochs) for b in _batches(rows, recipe.batch, seed + epoch)]
    head = split.head[tokens].float()
    place = {int(t): i for i, t in enumerate(tokens)}
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step / len(batches), recipe.warmup)
        loss = _loss(upper, [rows[i] for i in batch], head, place)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if progress:
            progress("train", step + 1, len(batches))
    return _merge(upper).eval()


def _loss(upper: Any, batch: Sequence[Encoded], head: Any, place: dict[int, int]) -> Any:
    import torch

    _, mask = pad([r.ids for r in batch], 0)
    hidden = torch.nn.utils.rnn.pad_sequence([r.hidden for r in batch], batch_first=True)
    with _mixed(hidden.dtype):
        out = upper(inputs_embeds=hidden, attention_mask=mask, use_cache=False).last_hidden_state
        at = [(i, t) for i, r in enumerate(batch) for t in range(r.prompt_tokens - 1, len(r.ids) - 1)]
        rows, positions = (torch.tensor(x) for x in zip(*at, strict=True))
        logits = out[rows, positions].float() @ head.T
    wanted = torch.tensor([place[t] for r in batch for t in r.ids[r.prompt_tokens :]])
    return torch.nn.functional.cross_entropy(logits, wanted)


def _mixed(dtype: Any) -> AbstractContextManager[Any]:
    import torch

    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


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
    return upper
