"""A causal model in two parts: a frozen lower one, run once over all rows and prompts, and an upper one to train."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.models import BaseModel, to_device
from cryptosentinel.types import Progress


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row after the frozen layers: `hidden` [tokens, width] and which of the tokens belong to the answer."""

    hidden: Any
    ids: tuple[int, ...]
    prompt_tokens: int


class Split:
    """A causal model cut in two: a frozen lower part, and an upper part that can be copied and trained.

    Args:
        base: the model; it is not changed, but moved to CUDA if there is such a device.
        trained_layers: how many of its layers belong to the upper part.

    Raises:
        ConfigError: the model has too few layers.
    """

    def __init__(self, base: BaseModel, trained_layers: int) -> None:
        """Build both parts over the base's own weights (nothing is copied)."""
        self.base = base
        self.device = to_device(base.model).device
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
            tokens, mask = pad([rows[i][0] for i in batch], self.base.tokenizer.pad_token_id, self.device)
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
    # The upper part never sees a token, and its copies need not copy the largest matrix of all.
    part.embed_tokens = decoder.embed_tokens if first == 0 else torch.nn.Identity()
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


def pad(rows: Sequence[Sequence[int]], filler: int, device: Any = "cpu") -> tuple[Any, Any]:
    """Right-padded ids and the mask."""
    import torch

    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), filler)
    mask = torch.zeros_like(tokens)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return tokens.to(device), mask.to(device)
