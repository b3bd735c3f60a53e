"""How surprising is each word of a text to a small language model?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.score_store import Vector
from cryptosentinel.models import GEMMA, GEMMA_SHA256, load_base

MOST_TOKENS = 96
BATCH_TOKENS = 1024
HEAD_ROWS = 128  # positions whose logits over 262k words are held at once
MODEL = f"{GEMMA}-{GEMMA_SHA256[:16]}-word-surprisal-{MOST_TOKENS}"


class WordSurprisal:
    """Surprisal in nats and number of tokens of every word of a text, float32[2 x words]; loads its model when asked.

    Words are what white space separates; only the first 96 tokens are read.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._loaded: Any = None

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        """One vector a text: first the surprisals, then the token counts."""
        if self._loaded is None:
            self._loaded = load_base(GEMMA, "float32")
        tokenizer = self._loaded.tokenizer
        encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        rows = [
            (ids[:MOST_TOKENS], _words(text, spans[:MOST_TOKENS]))
            for text, ids, spans in zip(texts, encoded.input_ids, encoded.offset_mapping, strict=True)
        ]
        result: list[Vector] = []
        for batch in _batches([ids for ids, _ in rows]):
            taken = rows[len(result) : len(result) + batch]
            for (_, words), nats in zip(taken, self._surprisals([ids for ids, _ in taken]), strict=True):
                size = int(words.max()) + 1 if words.size else 0
                both = [np.bincount(words, nats, size), np.bincount(words, minlength=size)]
                result.append(np.concatenate(both).astype(np.float32) if size else np.zeros(0, np.float32))
        return result

    def _surprisals(self, rows: Sequence[Sequence[int]]) -> list[Vector]:
        """-log p of each token given those before it, in nats."""
        import torch

        model, start = self._loaded.model, self._loaded.tokenizer.bos_token_id
        width = 1 + max(len(ids) for ids in rows)
        tokens = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for i, ids in enumerate(rows):
            tokens[i, : 1 + len(ids)] = torch.tensor([start, *ids])
            mask[i, : 1 + len(ids)] = 1
        with torch.inference_mode():
            hidden = model.get_decoder()(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
            real = mask[:, 1:].bool()
            states, wanted = hidden[:, :-1][real], tokens[:, 1:][real]
            parts = [torch.zeros(0)]
            for at in range(0, len(wanted), HEAD_ROWS):
                logits = model.get_output_embeddings()(states[at : at + HEAD_ROWS]).float()
                chosen = logits.gather(1, wanted[at : at + HEAD_ROWS, None])[:, 0]
                parts.append(logits.logsumexp(1) - chosen)
        nats = torch.cat(parts).numpy()
        return np.split(nats, np.cumsum([len(ids) for ids in rows])[:-1])


def _batches(rows: Sequence[Sequence[int]]) -> list[int]:
    """How many rows, in order, go into each batch of at most BATCH_TOKENS padded tokens?"""
    sizes: list[int] = []
    count = width = 0
    for ids in rows:
        wider = max(width, len(ids) + 1)
        if count and wider * (count + 1) > BATCH_TOKENS:
            sizes.append(count)
            count, wider = 0, len(ids) + 1
        count, width = count + 1, wider
    return [*sizes, count] if count else sizes


def _words(text: str, spans: Sequence[tuple[int, int]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which word does each token belong to? A token of white space alone belongs to the word that follows."""
    starts = np.array([m.start() for m in re.finditer(r"\S+", text)] or [0])
    last = [max(b - 1, a) for a, b in spans]
    return np.maximum(np.searchsorted(starts, last, "right") - 1, 0)
