"""Askers without a model: a recording of one, and a script."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cryptosentinel.asker import Answer, Asker
from cryptosentinel.errors import DataError, JudgeError
from cryptosentinel.llm.asking import ask_in_schema, json_schema, parse
from cryptosentinel.types import Message


class ReplayAsker:
    """Answer from a cassette: a JSONL file with one request and its answer a line.

    With `asker`, a request that is not on the cassette goes to it and is recorded; without, it is an error. The same
    request is the same messages, schema, max_tokens and temperature.

    Raises:
        DataError: the cassette cannot be read.
    """

    def __init__(self, cassette: Path, asker: Asker | None = None) -> None:
        """Read the cassette; a missing file is an empty one if there is someone to ask."""
        self._path = Path(cassette)
        self._asker = asker
        self._lock = threading.Lock()
        self._answers = self._read()

    @property
    def name(self) -> str:
        """Who answered, or where it was written down."""
        return self._asker.name if self._asker else f"replay:{self._path.name}"

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
            JudgeError: the request is not on the cassette and there is nobody to ask, or the asker failed.
        """
        request = {
            "messages": [asdict(m) for m in messages],
            "schema": json_schema(schema) if schema else None,
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        with self._lock:
            known = self._answers.get(key)
        if known is not None:
            try:
                return replace(known, parsed=parse(known.text, schema) if schema else None)
            except ValueError as error:
                raise JudgeError(f"{self._path}: the recorded answer {key[:12]} does not fit: {error}") from None
        if self._asker is None:
            raise JudgeError(f"{self._path}: no recorded answer to this request ({key[:12]}); record it with an asker")
        answer = self._asker.ask(messages, schema=schema, max_tokens=max_tokens, temperature=temperature)
        self._record(key, request, answer)
        return answer

    def _record(self, key: str, request: dict[str, Any], answer: Answer) -> None:
        """Keep the answer, in memory and at the end of the cassette."""
        kept = replace(answer, parsed=None)
        line = json.dumps({"key": key, "request": request, "answer": asdict(kept)}, sort_keys=True)
        with self._lock:
            self._answers[key] = kept
            with self._path.open("a", encoding="utf-8") as out:
                out.write(line + "\n")

    def _read(self) -> dict[str, Answer]:
        """All answers on the cassette; of two for one request the last."""
        answers: dict[str, Answer] = {}
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            if self._asker is not None:
                return answers
            raise DataError(f"{self._path}: no such cassette") from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self._path}: cannot be read: {error}") from None
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                fields = entry["answer"]
                answers[entry["key"]] = Answer(**fields)
                if not isinstance(fields["text"], str):
                    raise TypeError("the text is missing")
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self._path}: line {number} is no recorded answer: {error}") from None
        return answers


class ScriptedAsker:
    """Answer from a list, one after the other, or by a function of the messages; `asked` keeps what was asked.

    >>> ScriptedAsker(["Hold."]).ask([Message("user", "Buy?")]).text
    'Hold.'
    """

    def __init__(self, script: Sequence[str] | Callable[[Sequence[Message]], str], name: str = "scripted") -> None:
        """Take the script."""
        self.name = name
        self.asked: list[tuple[Message, ...]] = []
        self._script = script

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
            JudgeError: the list is used up, or neither of two answers fits the schema.
        """
        return ask_in_schema(self._complete, messages, schema)

    def _complete(self, messages: Sequence[Message]) -> Answer:
        """The next line of the script."""
        n = len(self.asked)
        self.asked.append(tuple(messages))
        if callable(self._script):
            return Answer(self._script(messages), model=self.name)
        if n >= len(self._script):
            raise JudgeError(f"{self.name}: the script has {len(self._script)} answers, this is question {n + 1}")
        return Answer(self._script[n], model=self.name)
