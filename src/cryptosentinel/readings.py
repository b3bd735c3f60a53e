"""What a language model makes of a text: how expected it is, and what its lower layers see in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATE_LAYERS = (4 / 18, 8 / 18)  # shares of the layers: manner is clearest low, meaning half-way up


def mean_log_probs(
    model: Any, tokenizer: Any, pairs: Sequence[tuple[str, str]], *, context_tokens: int = 256, batch_tokens: int = 2048
) -> list[list[float]]:
    """How expected is each continuation after its context? log p (nats) of each of its tokens, in the order given.

    Context and continuation are tokenized apart, so give the continuation its leading space. The context keeps its
    last `context_tokens` tokens. Logits are computed on the continuation's positions only: with a vocabulary of 262k
    they cost more than the layers.

    Returns:
        One list per pair, one number per token of the continuation (an empty continuation: an empty list).
    """
    import torch

    start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else [tokenizer.eos_token_id]
    unique = list(dict.fromkeys(text for pair in pairs for text in pair))
    ids: dict[str, list[int]] = dict(
        zip(unique, tokenizer(unique, add_special_tokens=False).input_ids if unique else [], strict=True)
    )
    rows = [(start + ids[context][-context_tokens:], ids[text]) for context, text in pairs]
    result: list[list[float]] = [[] for _ in rows]
    order = sorted((i for i, (_, text) in enumerate(rows) if text), key=lambda i: -len(rows[i][0]) - len(rows[i][1]))
    head = model.get_output_embeddings()
    while order:
        width = len(rows[order[0]][0]) + len(rows[order[0]][1])
        count = max(1, batch_tokens // width)
        batch, order = order[:count], order[count:]
        tokens = torch.full((len(batch), width), tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(tokens)
        for row, i in enumerate(batch):
            whole = rows[i][0] + rows[i][1]
            tokens[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
        with torch.inference_mode():
            hidden = model.get_decoder()(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            for row, i in enumerate(batch):
                first = len(rows[i][0])
                where = torch.arange(first - 1, first - 1 + len(rows[i][1]))
                wanted = tokens[row, where + 1]
                for at in range(0, len(where), 64):
                    logits = head(hidden[row, where[at : at + 64]]).float()
                    chosen = logits.gather(1, wanted[at : at + 64, None])[:, 0] - logits.logsumexp(1)
                    result[i].extend(chosen.tolist())
    return result


def mean_states(
    model: Any, tokenizer: Any, texts: Sequence[str], *, text_tokens: int = 96, batch_tokens: int = 512
) -> NDArray[np.float32]:
    """What do the lower layers make of each text? Mean hidden states of two layers, float32[n, 2, width].

    Only the layers up to the higher of the two are run. A text keeps its first `text_tokens` tokens.
    """
    import torch

    decoder = model.get_decoder()
    wanted = [max(1, round(len(decoder.layers) * share)) for share in STATE_LAYERS]
    states: dict[int, Any] = {}

    def keep(layer: int, output: Any) -> None:
        states[layer] = output[0] if isinstance(output, tuple) else output
        if layer == wanted[-1]:
            raise _Enough

    hooks = [
        decoder.layers[k - 1].register_forward_hook(lambda _module, _inputs, output, k=k: keep(k, output))
        for k in wanted
    ]
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    encoded = tokenizer(list(texts), add_special_tokens=False).input_ids if texts else []
    rows = [[start, *ids[:text_tokens]] for ids in encoded]
    result = np.zeros((len(rows), len(wanted), model.config.hidden_size), np.float32)
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
    try:
        while order:
            width = len(rows[order[0]])
            batch, order = order[: max(1, batch_tokens // width)], order[max(1, batch_tokens // width) :]
            tokens = torch.full((len(batch), width), tokenizer.pad_token_id or 0)
            mask = torch.zeros_like(tokens)
            for place, i in enumerate(batch):
                tokens[place, : len(rows[i])] = torch.tensor(rows[i])
                mask[place, : len(rows[i])] = 1
            with torch.inference_mode(), suppress(_Enough):
                decoder(input_ids=tokens, attention_mask=mask, use_cache=False)
            real = mask.clone()
            real[:, 0] = mask.sum(1) == 1  # the start stands for itself only where there is nothing else
            share = (real / real.sum(1, keepdim=True))[:, :, None]
            result[batch] = torch.stack([(states[k].float() * share).sum(1) for k in wanted], dim=1).numpy()
    finally:
        for hook in hooks:
            hook.remove()
    return result


class _Enough(Exception):  # noqa: N818  no error: the layers above are not needed
    """The last layer wanted has answered."""
