"""Local models through transformers: one that answers, one that says how expected a text is."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cryptosentinel import models, readings
from cryptosentinel.asker import Answer
from cryptosentinel.errors import JudgeError
from cryptosentinel.llm.asking import ask_in_schema
from cryptosentinel.types import Message

CONTEXT_TOKENS = 2048  # where the model's configuration names no bound of its own


class LocalAsker:
    """Ask a model on this machine; loaded on the first question, one question at a time.

    With temperature 0 the answer is greedy; above, it is sampled from the same seed every time.

    Args:
        name: as `models.load_base` takes it.
    """

    def __init__(self, name: str) -> None:
        """Remember the name; nothing is loaded yet."""
        self.name = name
        self._loaded: models.BaseModel | None = None
        self._lock = threading.Lock()

    def ask(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Answer:
        """Answer these messages; as `Asker.ask`.

        Raises:
            JudgeError: the messages do not fit the model's context, the model fails, or no answer fits the schema.
            MissingExtraError, ConfigError, ModelIntegrityError: as `models.load_base`.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = models.load_base(self.name)
            loaded = self._loaded
            return ask_in_schema(lambda asked: _generate(loaded, asked, max_tokens, temperature), messages, schema)


class LocalReference:
    """A local model that says how likely a text is; loaded on the first question.

    Args:
        name: as `models.load_base` takes it.
        loaded: the model, where it is in memory already.
    """

    def __init__(self, name: str, loaded: models.BaseModel | None = None) -> None:
        """Remember the name; nothing is loaded yet."""
        self.name = name
        self._loaded = loaded
        self._lock = threading.Lock()

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Natural log p of each token of the continuation, given the context, for each (context, continuation).

        Raises:
            MissingExtraError, ConfigError, ModelIntegrityError: as `models.load_base`.
        """
        with self._lock:
            loaded = self._load()
            return readings.mean_log_probs(loaded.model, loaded.tokenizer, pairs)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The mean hidden states of each text in a lower layer and in one half-way up: float32[n, 2, width].

        Raises:
            MissingExtraError, ConfigError, ModelIntegrityError: as `models.load_base`.
        """
        with self._lock:
            loaded = self._load()
            return readings.mean_states(loaded.model, loaded.tokenizer, texts)

    def _load(self) -> models.BaseModel:
        if self._loaded is None:
            self._loaded = models.load_base(self.name)
        return self._loaded


def _generate(loaded: models.BaseModel, messages: Sequence[Message], max_tokens: int, temperature: float) -> Answer:
    """Let the model continue the conversation."""
    import torch

    started = time.perf_counter()
    tokenizer, model = loaded.tokenizer, loaded.model
    chat = bool(tokenizer.chat_template)
    encoded = tokenizer(_prompt(tokenizer, messages), return_tensors="pt", add_special_tokens=not chat)
    prompt_tokens = int(encoded.input_ids.shape[1])
    bound = int(getattr(model.config, "max_position_embeddings", None) or CONTEXT_TOKENS)
    if prompt_tokens + max_tokens > bound:
        raise JudgeError(f"{loaded.name}: {prompt_tokens} + {max_tokens} tokens, the model takes {bound}")
    sampling: dict[str, Any] = (
        {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    )
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            output = model.generate(
                input_ids=encoded.input_ids,
                attention_mask=encoded.attention_mask,
                max_new_tokens=max_tokens,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
                **sampling,
            )
    except (RuntimeError, ValueError) as error:
        raise JudgeError(f"{loaded.name}: {' '.join(str(error).split())[:200]}") from error
    made = output[0][prompt_tokens:]
    text = tokenizer.decode(made, skip_special_tokens=True)
    if not chat:  # a base model goes on to write the next turns as well
        text = text.split("\nuser:")[0].split("\nsystem:")[0].strip()
    return Answer(text, None, prompt_tokens, len(made), time.perf_counter() - started, loaded.name)


def _prompt(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The conversation as the model's chat template writes it; for a base model without one, turns by name."""
    import jinja2

    if tokenizer.chat_template:
        turns = [{"role": m.role, "content": m.text} for m in messages]
        try:
            return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise JudgeError(f"the model's chat template refuses these messages: {error}") from error
    return "".join(f"{m.role}: {m.text}\n" for m in messages) + "assistant:"
