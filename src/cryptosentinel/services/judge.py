"""The judge that a scan asks: an endpoint, with its answers kept; and what the report says of it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from cryptosentinel.config import Settings, load_settings
from cryptosentinel.errors import DataError, JudgeError
from cryptosentinel.llm import Answer, Asker, HTTPAsker, ReplayAsker
from cryptosentinel.sanitize import Scan
from cryptosentinel.types import Message, Record

MOST_KEPT_BYTES = 256 << 20  # read as a whole by every scan that asks; beyond it, what is kept starts anew
RAISED_SHOWN = 100  # rows in the report; findings.jsonl has them all


class KeptJudge:
    """An endpoint whose answers are kept on disk, so that the same question is asked once; counts its calls.

    Answers are kept by endpoint and model. What could not be answered is not kept: the next scan asks again. Without a
    model's name the server is asked for its first one before the first question.

    Args:
        url: base URL of an OpenAI-compatible endpoint.
        settings: model, key and timeouts (its own judge.url is not used), and the cache folder.

    Raises:
        ConfigError: not an http or https URL, or the key's variable is not set.
    """

    def __init__(self, url: str, settings: Settings | None = None) -> None:
        """Check the settings; nothing is sent yet."""
        settings = settings or load_settings()
        self.max_questions = settings.judge.max_questions
        self.endpoint = endpoint(url)
        self._http = HTTPAsker.from_settings(settings.judge.model_copy(update={"url": url}))
        self._counted = _Counted(self._http)
        self._model = settings.judge.model
        self._folder = settings.cache_dir / "judge"
        self._kept: ReplayAsker | None = None
        self._lock = threading.Lock()
        self.from_cache = 0

    @property
    def name(self) -> str:
        """Host and model."""
        return self._http.name

    def ask(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Answer:
        """Answer from what is kept, else from the endpoint; as `Asker.ask`.

        Raises:
            JudgeError: as `HTTPAsker.ask`.
            OSError: the cache folder cannot be written.
        """
        with self._lock:
            if self._kept is None:
                self._kept = self._open()
            sent = self._counted.questions
            answer = self._kept.ask(messages, schema=schema, max_tokens=max_tokens, temperature=temperature)
            self.from_cache += self._counted.questions == sent
            return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _open(self) -> ReplayAsker:
        model = self._model or self._http.model_name()
        key = hashlib.sha256(f"{self.endpoint}\n{model}".encode()).hexdigest()[:24]
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds rows of the data
        path = self._folder / f"{key}.jsonl"
        if path.exists() and path.stat().st_size > MOST_KEPT_BYTES:
            path.unlink()
        try:
            return ReplayAsker(path, self._counted)
        except DataError:  # half a line of a run that was killed: what is kept can be asked again
            path.unlink()
            return ReplayAsker(path, self._counted)


class _Counted:
    """An asker with its questions counted."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.questions = 0

    @property
    def name(self) -> str:
        return self._asker.name

    def ask(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Answer:
        self.questions += 1
        return self._asker.ask(messages, schema=schema, max_tokens=max_tokens, temperature=temperature)


def endpoint(url: str) -> str:
    """The URL as a report may show it: without user, password, query.

    >>> endpoint("https://me:secret@host:8000/v1/?key=1")
    'https://host:8000/v1'
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # the asker says what is wrong with it
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/').removesuffix('/chat/completions')}"


def describe_judging(
    judge: KeptJudge, result: Scan, index: Sequence[int], records: Sequence[Record]
) -> dict[str, Any] | None:
    """What report.json says of the judge: who it was, how often it was asked, what it changed, why it failed."""
    judging = result.judging
    if judging is None:
        return None
    rows = judging.rows
    raised = sorted((f for f in rows.findings if f.evidence.get("raised")), key=lambda f: -(f.score or 0.0))
    return {
        "endpoint": judge.endpoint,
        "models": list(judging.models),
        "questions": judging.questions,
        "from_cache": judge.from_cache,
        "errors": judging.errors,
        "not_asked": judging.not_asked,
        "max_questions": judge.max_questions,
        "hypotheses_raised": judging.raised,
        "hypotheses_believed": judging.believed,
        "rows": {
            "asked": len(rows.findings),
            "raised": len(raised),
            "believed": rows.believed,
            "malicious": [
                {"index": int(index[row]), "id": records[row].id, "score": f.score, "reason": f.reason}
                for f in raised[:RAISED_SHOWN]
                for row in [int(f.subject.id)]
            ],
            "called_malicious": {sample: asdict(rate) for sample, rate in rows.malicious.items()},
        },
        "failure": judging.failure,
        "seconds": result.seconds["ask the judge"],
    }


def require_judged(document: dict[str, Any] | Any) -> None:
    """Say that the judge that was asked for could not judge; a scan without it is not the scan that was ordered.

    Raises:
        JudgeError: with the reason.
    """
    judge = document.get("judge") or {}
    if judge.get("failure"):
        raise JudgeError(f"the judge could not judge, the results are those of the scan without it: {judge['failure']}")
