"""Batched greedy answers of a model in two parts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.redteam.key_cache import key_cache
from cryptosentinel.redteam.split import Split

BATCH = 48


@dataclass(slots=True)
class Prompts:
    """A batch of prompts after the frozen layers; serves every model that shares them.

    `prefix` is what all of them begin with, after the frozen layers; `hidden` is the rest, and `mask` covers both.
    """

    indices: list[int]
    prefix: Any
    hidden: Any
    mask: Any
    cache: Any


def prepare(split: Split, prompts: Sequence[str], prefix: str = "") -> list[Prompts]:
    """Run the frozen layers once over left-padded batches of prompts of like length; over a common prefix once."""
    import torch

    tokenizer = split.base.tokenizer
    rows = [list(tokenizer(p, add_special_tokens=not prefix).input_ids) for p in prompts]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    prepared = []
    with torch.inference_mode():
        first = key_cache(split.cut)
        shown = tokenizer(prefix).input_ids if prefix else []
        start = torch.tensor([shown], dtype=torch.long, device=split.device)
        head = split.lower(input_ids=start, past_key_values=first, use_cache=True).last_hidden_state if prefix else None
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            width = max(len(rows[i]) for i in batch)
            tokens = torch.full((len(batch), width), tokenizer.pad_token_id or 0)
            mask = torch.ones(len(batch), start.shape[1] + width, dtype=torch.long)
            for row, i in enumerate(batch):
                tokens[row, width - len(rows[i]) :] = torch.tensor(rows[i])
                mask[row, start.shape[1] : mask.shape[1] - len(rows[i])] = 0
            tokens, mask = tokens.to(split.device), mask.to(split.device)
            cache = _spread(first, len(batch)) if prefix else key_cache(split.cut)
            hidden = split.lower(
                input_ids=tokens, attention_mask=mask, position_ids=_positions(mask)[:, start.shape[1] :],
                past_key_values=cache, use_cache=True,
            ).last_hidden_state  # fmt: skip
            prepared.append(Prompts(batch, head, hidden, mask, cache))
    return prepared


def answers(
    split: Split,
    upper: Any,
    prepared: Sequence[Prompts],
    tokens: Any,
    *,
    max_tokens: int = 48,
    step: Callable[[int, int], None] | None = None,
) -> list[str]:
    """The greedy answer to every prompt among `tokens`, in order; it ends at the end mark or a line break."""
    import torch

    tokenizer = split.base.tokenizer
    head = split.head[tokens]
    ends = torch.tensor(
        [tokenizer.eos_token_id, *tokenizer("\n", add_special_tokens=False).input_ids], device=split.device
    )
    result = [""] * sum(len(b.indices) for b in prepared)
    done = 0
    for batch in prepared:
        with torch.inference_mode():
            written = _decode(split, upper, batch, head, tokens, ends, max_tokens)
        for i, ids in zip(batch.indices, written, strict=True):
            result[i] = tokenizer.decode(ids, skip_special_tokens=True).strip()
        done += len(batch.indices)
        if step:
            step(done, len(result))
    return result


def _spread(cache: Any, count: int) -> Any:
    """A copy of a cache of one row for `count` rows."""
    copied = copy.deepcopy(cache)
    copied.batch_repeat_interleave(count)
    return copied


def _positions(mask: Any) -> Any:
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _decode(
    split: Split, upper: Any, batch: Prompts, head: Any, tokens: Any, ends: Any, max_tokens: int
) -> list[list[int]]:
    import torch

    lower_cache, upper_cache = copy.deepcopy(batch.cache), key_cache(len(upper.layers))
    mask, hidden = batch.mask, batch.hidden
    positions = _positions(mask)[:, -hidden.shape[1] :]
    if batch.prefix is not None:
        upper(inputs_embeds=batch.prefix, past_key_values=upper_cache, use_cache=True)
        upper_cache = _spread(upper_cache, len(batch.indices))
    alive = torch.arange(len(batch.indices), device=hidden.device)
    written: list[list[int]] = [[] for _ in batch.indices]
    for _ in range(max_tokens):
        out = upper(
            inputs_embeds=hidden,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=upper_cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        chosen = tokens[(out @ head.T).argmax(-1)]
        keep = ~torch.isin(chosen, ends)
        for row, token in zip(alive[keep].tolist(), chosen[keep].tolist(), strict=True):
            written[row].append(token)
        if not keep.any():
            break
        if not keep.all():
            alive, chosen, mask, positions = alive[keep], chosen[keep], mask[keep], positions[keep]
            where = keep.nonzero()[:, 0]
            lower_cache.batch_select_indices(where)
            upper_cache.batch_select_indices(where)
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], -1)
        positions = positions[:, -1:] + 1
        hidden = split.lower(
            input_ids=chosen[:, None], attention_mask=mask, position_ids=positions, past_key_values=lower_cache,
            use_cache=True,
        ).last_hidden_state  # fmt: skip
    return written
