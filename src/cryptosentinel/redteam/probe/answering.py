"""Who answers a probe: an Asker (an endpoint, a script), or weights on this machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from cryptosentinel import models
from cryptosentinel.errors import JudgeError
from cryptosentinel.llm import Asker
from cryptosentinel.redteam.probe.compare import AnswerAll
from cryptosentinel.redteam.probe.first import Probabilities
from cryptosentinel.types import Message

T = TypeVar("T")
BATCH = 32
AT_ONCE = 4
POLL_S = 0.2
TOKENS = 64
CONTEXT_TOKENS = 2048


def asker_answers(asker: Asker, max_tokens: int = TOKENS, at_once: int = AT_ONCE) -> AnswerAll:
    """Each prompt as a conversation of its own, several at once.

    >>> from cryptosentinel.llm import ScriptedAsker
    >>> asker_answers(ScriptedAsker(lambda messages: messages[-1].text.upper()))(["hold", "buy"])
    ['HOLD', 'BUY']
    """

    def one(prompt: str) -> str:
        return asker.ask([Message("user", prompt)], max_tokens=max_tokens).text

    def answer(prompts: list[str]) -> list[str]:
        left = deque(enumerate(prompts))
        answered: SimpleQueue[tuple[int, str | BaseException]] = SimpleQueue()

        def work() -> None:
            with suppress(IndexError):
                while True:
                    number, prompt = left.popleft()
                    try:
                        answered.put((number, one(prompt)))
                    except BaseException as error:  # handed over to whoever waits
                        answered.put((number, error))

        said = [""] * len(prompts)
        try:
            for _ in range(min(at_once, len(prompts))):
                Thread(target=work, daemon=True).start()  # a pool's would hold up the exit until the endpoint answers
            for _ in prompts:
                number, text = _next(answered)
                if isinstance(text, BaseException):
                    raise text
                said[number] = text
        finally:
            left.clear()  # after a failure nobody waits for the rest
        return said

    return answer


def _next(answered: SimpleQueue[T]) -> T:
    """What comes next; in short waits, for a library's signal handler (polars has one) has a long one go on."""
    while True:
        with suppress(Empty):
            return answered.get(timeout=POLL_S)


class LocalAnswers:
    """Greedy answers of local weights, in batches; loaded when the first is asked for.

    A model with a chat template is asked through it. One without is given the bare text, and its answer ends at the
    first line break: that is how a fine-tuned base model is used.

    Args:
        name: as `models.load_base` takes it.
        max_tokens: length of an answer.
        raw: give the bare text to a chat model too (a target's prompts are complete as they are).
    """

    def __init__(self, name: str, max_tokens: int = TOKENS, *, raw: bool = False) -> None:
        """Remember the settings; nothing is loaded yet."""
        self.name, self.max_tokens, self.raw = name, max_tokens, raw
        self._loaded: models.BaseModel | None = None

    def load(self) -> models.BaseModel:
        """The weights.

        Raises:
            ConfigError, ModelIntegrityError, MissingExtraError: as `models.load_base`.
        """
        if self._loaded is None:
            self._loaded = models.load_base(self.name)
        return self._loaded

    def __call__(self, prompts: list[str]) -> list[str]:
        """Answer these prompts.

        Raises:
            JudgeError: the model fails, or a prompt does not fit its context.
        """
        chat, encoded = self._encoded(prompts)
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        said = [""] * len(encoded)
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            for i, text in zip(batch, self._generate([encoded[i] for i in batch]), strict=True):
                said[i] = text.strip() if chat else text.strip().partition("\n")[0].strip()
        return said

    def first_tokens(self, prompts: list[str]) -> list[Probabilities]:
        """How likely is each token as the first of the answer? float32[vocabulary] a prompt.

        Raises:
            JudgeError: a prompt does not fit the model's context.
        """
        import torch

        model = self.load().model
        found = []
        for row in self._encoded(prompts)[1]:
            self._check(len(row))
            with torch.inference_mode():
                hidden = model.get_decoder()(input_ids=torch.tensor([row]), use_cache=False).last_hidden_state[:, -1]
                logits = model.get_output_embeddings()(hidden).float()
            found.append(logits.softmax(-1)[0].numpy())
        return found

    def token_text(self, token: int) -> str:
        """The token as text."""
        return str(self.load().tokenizer.decode([token]))

    def _encoded(self, prompts: list[str]) -> tuple[bool, list[list[int]]]:
        """Does the chat template apply, and the prompts as the model is given them."""
        tokenizer = self.load().tokenizer
        chat = bool(tokenizer.chat_template) and not self.raw
        texts = [self._text(p) for p in prompts] if chat else prompts
        return chat, [list(tokenizer(t, add_special_tokens=not chat).input_ids) for t in texts]

    def _check(self, width: int) -> None:
        bound = int(getattr(self.load().model.config, "max_position_embeddings", None) or CONTEXT_TOKENS)
        if width + self.max_tokens > bound:
            raise JudgeError(f"{self.name}: {width} + {self.max_tokens} tokens, the model takes {bound}")

    def _text(self, prompt: str) -> str:
        import jinja2

        turns = [{"role": "user", "content": prompt}]
        try:
            return str(self.load().tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise JudgeError(f"{self.name}: its chat template refuses a user's turn: {error}") from error

    def _generate(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The model's continuations of rows of tokens."""
        import torch

        model, tokenizer = self.load().model, self.load().tokenizer
        width = max(map(len, rows))
        self._check(width)
        filler = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        ids = torch.full((len(rows), width), filler)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, width - len(tokens) :] = torch.tensor(tokens)
            mask[row, width - len(tokens) :] = 1
        bounds: dict[str, Any] = {"max_new_tokens": self.max_tokens, "do_sample": False, "pad_token_id": filler}
        try:
            with torch.inference_mode():
                output = model.generate(input_ids=ids, attention_mask=mask, **bounds)
        except (RuntimeError, ValueError) as error:
            raise JudgeError(f"{self.name}: {' '.join(str(error).split())[:200]}") from error
        return [str(t) for t in tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)]
