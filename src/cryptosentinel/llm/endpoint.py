"""An OpenAI-compatible endpoint, with every wait and every size bounded."""

from __future__ import annotations

import email.utils
import json
import os
import random
import time
from collections.abc import Sequence
from typing import Any, Self

import httpx
from pydantic import BaseModel

from cryptosentinel.asker import Answer
from cryptosentinel.config import JudgeSettings
from cryptosentinel.datasets.forms import openai_turn
from cryptosentinel.errors import ConfigError, JudgeError
from cryptosentinel.llm.asking import ask_in_schema
from cryptosentinel.types import Message

MAX_RESPONSE_BYTES = 4 << 20
MAX_WAIT_S = 30.0
RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class _TransientError(Exception):
    """Worth another attempt, after a pause if the server named one."""

    def __init__(self, message: str, pause_s: float | None = None) -> None:
        """Keep the pause beside the message."""
        super().__init__(message)
        self.pause_s = pause_s


class _RefusedError(JudgeError):
    """The server answered that it will not do this."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status


class HTTPAsker:
    """Ask POST {url}/chat/completions.

    Connection errors, timeouts and the statuses 408, 429, 500, 502, 503, 504 are tried again, at most `attempts`
    times in all, with a pause that doubles or that Retry-After names, never above 30 s. A reply must be complete
    within `read_timeout_s` and smaller than 4 MiB. Redirects are not followed: they would take the key elsewhere.

    Args:
        url: base URL, as in "http://127.0.0.1:8000/v1".
        model: the model's name; empty asks the server for its first one.
        api_key: sent as a bearer token; empty sends none.

    Raises:
        ConfigError: not an http or https URL, or a bound that is not positive.
    """

    def __init__(
        self,
        url: str,
        model: str = "",
        *,
        api_key: str = "",
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 60.0,
        attempts: int = 3,
        backoff_s: float = 0.5,
    ) -> None:
        """Check the URL and bounds; nothing is sent yet."""
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"judge URL must begin with http:// or https://, got {url[:80]!r}")
        if attempts < 1 or min(connect_timeout_s, read_timeout_s) <= 0:
            bounds = f"{attempts} attempts, {connect_timeout_s} s, {read_timeout_s} s"
            raise ConfigError(f"judge: attempts and timeouts must be positive, got {bounds}")
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError("judge: the API key holds a character that no header can carry")
        try:
            self._base = httpx.URL(url.rstrip("/").removesuffix("/chat/completions"))
        except httpx.InvalidURL as error:
            raise ConfigError(f"judge URL {url[:80]!r}: {error}") from None
        if not self._base.host:
            raise ConfigError(f"judge URL {url[:80]!r} names no host")
        self._model = model
        self._key = api_key
        self._read_timeout_s = read_timeout_s
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._schema_on_server = True
        self._client = httpx.Client(
            timeout=httpx.Timeout(read_timeout_s, connect=connect_timeout_s),
            headers={
                "Accept-Encoding": "identity",  # a small reply stays small
                "Content-Type": "application/json",
                **({"Authorization": f"Bearer {api_key}"} if api_key else {}),
            },
            follow_redirects=False,
        )

    @classmethod
    def from_settings(cls, settings: JudgeSettings) -> Self:
        """The endpoint that the configuration names; its key is read from the environment variable named there.

        Raises:
            ConfigError: no URL is set, or the key's variable is named but not set.
        """
        if not settings.url:
            raise ConfigError("no judge is configured: set judge.url or CRYPTOSENTINEL_JUDGE_URL")
        key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else ""
        if settings.api_key_env and not key:
            raise ConfigError(f"judge.api_key_env names {settings.api_key_env}, which is not set")
        return cls(
            settings.url,
            settings.model,
            api_key=key,
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
            attempts=settings.attempts,
        )

    @property
    def name(self) -> str:
        """Host and model."""
        return f"{self._base.host}/{self._model or 'default'}"

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
            JudgeError: no usable answer within the bounds; the message names the host and the last fault.
        """

        def complete(asked: Sequence[Message]) -> Answer:
            request: dict[str, Any] = {
                "model": self.model_name(),
                "messages": [openai_turn(m) for m in asked],
                "max_tokens": max_tokens,
                "temperature": temperature,
            }
            if schema is not None and self._schema_on_server:
                wanted = {"name": schema.__name__, "schema": schema.model_json_schema()}
                request["response_format"] = {"type": "json_schema", "json_schema": wanted}
            started = time.perf_counter()
            try:
                reply = self._send("POST", "chat/completions", request)
            except _RefusedError as error:
                # some compatible servers do not know response_format; the schema is in the messages as well
                if error.status not in (400, 422) or request.pop("response_format", None) is None:
                    raise
                self._schema_on_server = False
                reply = self._send("POST", "chat/completions", request)
            return self._answer(reply, time.perf_counter() - started)

        return ask_in_schema(complete, messages, schema)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def model_name(self) -> str:
        """Which model is asked? The server's first one where none was named.

        Raises:
            JudgeError: the server cannot be reached or lists none.
        """
        if not self._model:
            listed = self._send("GET", "models", None).get("data")
            first = listed[0] if isinstance(listed, list) and listed else None
            found = first.get("id") if isinstance(first, dict) else None
            if not isinstance(found, str) or not found:
                raise JudgeError(f"{self._base.host}: lists no model; name one")
            self._model = found
        return self._model

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Send until there is a reply, the attempts are used up or the server refuses."""
        for attempt in range(1, self._attempts + 1):
            try:
                return self._once(method, path, body)
            except _TransientError as error:
                if attempt == self._attempts:
                    raise JudgeError(f"{self._base.host}: {error} (attempt {attempt} of {self._attempts})") from None
                pause = self._backoff_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
                time.sleep(min(MAX_WAIT_S, pause if error.pause_s is None else error.pause_s))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """One attempt."""
        url = f"{str(self._base).rstrip('/')}/{path}"
        # ASCII escapes carry the lone surrogates that a hostile message may hold
        content = None if body is None else json.dumps(body).encode("ascii")
        deadline = time.monotonic() + self._read_timeout_s
        data = bytearray()
        try:
            with self._client.stream(method, url, content=content) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_RESPONSE_BYTES:
                        raise JudgeError(f"{self._base.host}: a reply of more than {MAX_RESPONSE_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise _TransientError(f"no complete reply in {self._read_timeout_s} s")
        except httpx.TimeoutException as error:
            raise _TransientError(f"{type(error).__name__} (limit {self._read_timeout_s} s)") from None
        except httpx.TransportError as error:
            raise _TransientError(f"{type(error).__name__}: {error}") from None
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise JudgeError(f"{self._base.host}: {type(error).__name__}: {error}") from None
        return self._checked(response, bytes(data))

    def _checked(self, response: httpx.Response, data: bytes) -> dict[str, Any]:
        """The reply as an object, or the error that its status stands for."""
        status = response.status_code
        if status != 200:
            said = " ".join(data[:300].decode("utf-8", "replace").split())[:200]
            if self._key:
                said = said.replace(self._key, "***")
            if status in RETRY_STATUS:
                raise _TransientError(f"status {status}: {said}", _retry_after(response.headers.get("retry-after")))
            where = f" (redirects to {response.headers.get('location', '?')[:100]})" if response.is_redirect else ""
            raise _RefusedError(f"{self._base.host}: status {status}{where}: {said}", status)
        try:
            reply = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise JudgeError(f"{self._base.host}: the reply is not JSON: {error}") from None
        if not isinstance(reply, dict):
            raise JudgeError(f"{self._base.host}: the reply is no JSON object")
        return reply

    def _answer(self, reply: dict[str, Any], seconds: float) -> Answer:
        """Read the first choice of a chat completion."""
        try:
            choice = reply["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise JudgeError(f"{self._base.host}: the reply has no choices[0].message.content") from None
        if not isinstance(text, str) or not text:
            raise JudgeError(f"{self._base.host}: an empty answer (finish_reason {choice.get('finish_reason')!r})")
        usage = reply.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        model = reply.get("model")
        return Answer(
            text,
            None,
            _count(counts.get("prompt_tokens")),
            _count(counts.get("completion_tokens")),
            seconds,
            model if isinstance(model, str) else self._model,
        )


def _count(value: Any) -> int:
    """A token count, 0 if the server sent something else."""
    return value if type(value) is int and value >= 0 else 0


def _retry_after(header: str | None) -> float | None:
    """How many seconds does this Retry-After ask for? A number or an HTTP date; None where it says neither.

    >>> _retry_after("2"), _retry_after("soon")
    (2.0, None)
    """
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header[:12])
    try:
        then = email.utils.parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return max(0.0, then.timestamp() - time.time())
