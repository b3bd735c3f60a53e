"""Askers against a real server on the loopback: slow, failing, lying, huge, gone; and the recorded ones."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from cryptosentinel.config import JudgeSettings
from cryptosentinel.errors import ConfigError, DataError, JudgeError
from cryptosentinel.llm import Answer, Asker, HTTPAsker, LocalAsker, LocalReference, ReplayAsker, ScriptedAsker
from cryptosentinel.llm.asking import parse
from cryptosentinel.types import Message, ToolCall

ASKED = [Message("system", "You judge."), Message("user", "Is this planted?")]


class Judgement(BaseModel):
    """What the tests ask for."""

    verdict: Literal["planted", "natural"]
    confidence: float = Field(ge=0, le=1)


GOOD = '{"verdict": "planted", "confidence": 0.9}'
Handler = Callable[["Server", BaseHTTPRequestHandler, Any], None]


class Server:
    """A chat-completions server that does what the handlers say, one a request, the last one for all that follow."""

    def __init__(self, *handlers: Handler) -> None:
        self.handlers = list(handlers)
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        outer = self

        class Serve(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                asked = json.loads(body) if body else None
                outer.requests.append((self.path, dict(self.headers.items()), asked))
                handler = outer.handlers.pop(0) if len(outer.handlers) > 1 else outer.handlers[0]
                with contextlib.suppress(OSError):  # the client may be gone, that is the point of some tests
                    handler(outer, self, asked)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/v1"
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def completion(text: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": usage}).encode()


def says(text: Any) -> Handler:
    return lambda server, request, asked: send(request, 200, completion(text))


def status(code: int, body: bytes = b"oh no\nreally", **headers: str) -> Handler:
    return lambda server, request, asked: send(request, code, body, **headers)


def raw(body: bytes) -> Handler:
    return lambda server, request, asked: send(request, 200, body)


def asker(server: Server, **options: Any) -> HTTPAsker:
    return HTTPAsker(server.url, **{"model": "m", "backoff_s": 0.01, "read_timeout_s": 5.0, **options})


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_good_answer() -> None:
    with Server(says("Yes.")) as server:
        talk = [*ASKED, Message("assistant", "", tool_calls=(ToolCall("c", "f", "{}"),)), Message("user", "\ud800")]
        client = asker(server, api_key="secret-key")
        answer = client.ask(talk, max_tokens=9, temperature=0.5)
    assert (answer.text, answer.parsed, answer.prompt_tokens, answer.completion_tokens) == ("Yes.", None, 11, 7)
    assert answer.model == "m-1"
    assert 0 < answer.seconds < 5
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-key"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 9, 0.5)
    assert body["messages"][0] == {"role": "system", "content": "You judge."}
    assert body["messages"][2]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert body["messages"][3]["content"] == "\ud800"
    assert "response_format" not in body
    assert client.name == "127.0.0.1/m"
    client.close()


def test_the_model_is_asked_for_where_none_is_named() -> None:
    models = raw(b'{"data": [{"id": "llama"}, {"id": "other"}]}')
    with Server(models, says("Yes.")) as server:
        client = asker(server, model="")
        client.ask(ASKED)
        client.ask(ASKED)
    assert [path for path, _, _ in server.requests] == ["/v1/models", "/v1/chat/completions", "/v1/chat/completions"]
    assert server.requests[1][2]["model"] == "llama"
    with Server(raw(b'{"data": []}')) as server, pytest.raises(JudgeError, match="lists no model"):
        asker(server, model="").ask(ASKED)


def test_a_url_that_is_already_whole() -> None:
    with Server(says("Yes.")) as server:
        HTTPAsker(f"{server.url}/chat/completions/", "m").ask(ASKED)
    assert server.requests[0][0] == "/v1/chat/completions"


@pytest.mark.parametrize("text", [GOOD, f"```json\n{GOOD}\n```", f"  ```\n{GOOD}\n```\n"])
def test_an_answer_in_the_schema(text: str) -> None:
    with Server(says(text)) as server:
        answer = asker(server).ask(ASKED, schema=Judgement)
    assert answer.parsed == Judgement(verdict="planted", confidence=0.9)
    body = server.requests[0][2]
    assert body["response_format"]["json_schema"]["name"] == "Judgement"
    assert [m["role"] for m in body["messages"]] == ["system", "user"]  # templates often take one system message only
    assert "JSON schema" in body["messages"][0]["content"]


def test_one_repair_and_no_more() -> None:
    with Server(says('{"verdict": "maybe", "confidence": 2}'), says(GOOD)) as server:
        answer = asker(server).ask(ASKED, schema=Judgement)
    assert answer.parsed == Judgement(verdict="planted", confidence=0.9)
    assert (answer.prompt_tokens, answer.completion_tokens) == (22, 14)
    repair = server.requests[1][2]["messages"][-1]["content"]
    assert "verdict: Input should be 'planted' or 'natural'; confidence: Input should be less" in repair
    with (
        Server(says("I think it is planted.")) as server,
        pytest.raises(JudgeError, match="m-1: twice an answer that is no Judgement: answer: Invalid JSON"),
    ):
        asker(server).ask(ASKED, schema=Judgement)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "text", ["", "planted", f"Sure: {GOOD}", f"{GOOD}{GOOD}", '{"verdict": "planted", "confidence": NaN}', "[]", "{}"]
)
def test_only_the_whole_text_counts_as_an_answer(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse(text, Judgement)


def test_a_server_that_does_not_know_response_format() -> None:
    def picky(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        if "response_format" in asked:
            send(request, 400, b'{"error": "unknown field response_format"}')
        else:
            send(request, 200, completion(GOOD))

    with Server(picky) as server:
        client = asker(server)
        assert client.ask(ASKED, schema=Judgement).parsed is not None
        assert client.ask(ASKED, schema=Judgement).parsed is not None
    assert len(server.requests) == 3  # it is not tried again


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_passing_faults_are_tried_again(code: int) -> None:
    with Server(status(code), status(code), says("Yes.")) as server:
        assert asker(server).ask(ASKED).text == "Yes."
    assert len(server.requests) == 3


def test_attempts_are_bounded() -> None:
    with (
        Server(status(500)) as server,
        pytest.raises(JudgeError, match=r"127.0.0.1: status 500: oh no really \(attempt 3 of 3\)"),
    ):
        asker(server).ask(ASKED)
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_refusals_are_not_tried_again(code: int) -> None:
    with Server(status(code, b"no: secret-key")) as server, pytest.raises(JudgeError, match=f"status {code}") as caught:
        asker(server, api_key="secret-key").ask(ASKED)
    assert len(server.requests) == 1
    assert "secret-key" not in str(caught.value)


def test_retry_after_is_honoured_and_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    waits = ["7", "100000", formatdate(time.time() + 20, usegmt=True), "soon", formatdate(0, usegmt=True)]
    with Server(*(status(429, Retry_After=w) for w in waits), says("Yes.")) as server:
        assert asker(server, attempts=6).ask(ASKED).text == "Yes."
    assert pauses[:2] == [7.0, 30.0]
    assert 15 < pauses[2] <= 20
    assert 0 < pauses[3] < 1
    assert pauses[4] == 0.0


def test_a_silent_server_and_a_dripping_one() -> None:
    done = threading.Event()

    def silent(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        done.wait(5)

    def drips(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(100):
            if done.wait(0.05):
                return
            request.wfile.write(b" ")
            request.wfile.flush()

    for handler, message in ((silent, "ReadTimeout"), (drips, "no complete reply in 0.2 s")):
        started = time.monotonic()
        with Server(handler) as server:
            with pytest.raises(JudgeError, match=message):
                asker(server, read_timeout_s=0.2, attempts=2).ask(ASKED)
            assert time.monotonic() - started < 3
            assert len(server.requests) == 2
            done.set()
        done.clear()


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        client = HTTPAsker(f"http://127.0.0.1:{taken.getsockname()[1]}", "m", backoff_s=0.01)
        with pytest.raises(JudgeError, match=r"127.0.0.1: ConnectError.*\(attempt 3 of 3\)"):
            client.ask(ASKED)


def test_a_connection_that_is_cut() -> None:
    def cut(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b'{"choices"')

    with Server(cut, says("Yes.")) as server:
        assert asker(server).ask(ASKED).text == "Yes."
    with Server(cut) as server, pytest.raises(JudgeError, match="RemoteProtocolError"):
        asker(server, attempts=2).ask(ASKED)


def test_a_huge_body_is_not_read_to_its_end() -> None:
    sent = []

    def huge(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(1000):
            request.wfile.write(b" " * (1 << 20))
            sent.append(1)

    with Server(huge) as server, pytest.raises(JudgeError, match="more than 4194304 bytes"):
        asker(server).ask(ASKED)
    assert len(sent) < 100
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "the reply is not JSON"),
        (b"\xff\xfe{", "the reply is not JSON"),
        (b"[" * 100_000, "the reply is not JSON"),
        (b"[]", "the reply is no JSON object"),
        (b"{}", "has no choices"),
        (b'{"choices": []}', "has no choices"),
        (b'{"choices": [3]}', "has no choices"),
        (completion(None), "an empty answer"),
        (completion(""), "an empty answer"),
        (completion(["x"]), "an empty answer"),
    ],
)
def test_malformed_replies(body: bytes, message: str) -> None:
    with Server(raw(body)) as server, pytest.raises(JudgeError, match=message):
        asker(server).ask(ASKED)
    assert len(server.requests) == 1


def test_odd_usage_is_no_fault() -> None:
    reply = {"choices": [{"message": {"content": "Yes."}}], "usage": {"prompt_tokens": "many"}, "model": None}
    with Server(raw(json.dumps(reply).encode())) as server:
        answer = asker(server).ask(ASKED)
    assert (answer.text, answer.prompt_tokens, answer.model) == ("Yes.", 0, "m")


def test_redirects_are_not_followed() -> None:
    with Server(says("leaked")) as elsewhere:
        with (
            Server(status(307, b"", Location=f"{elsewhere.url}/chat/completions")) as server,
            pytest.raises(JudgeError, match=r"status 307 \(redirects to http"),
        ):
            asker(server, api_key="k").ask(ASKED)
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("ftp://h", {}, "must begin with http"),
        ("h:8000", {}, "must begin with http"),
        ("http://", {}, "names no host"),
        ("http://h:bad/", {}, "judge URL"),
        ("http://h", {"attempts": 0}, "must be positive, got 0 attempts"),
        ("http://h", {"read_timeout_s": -1}, "must be positive"),
        ("http://h", {"api_key": "a\nb"}, "no header can carry"),
    ],
)
def test_settings_that_cannot_work(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HTTPAsker(url, **options)


def test_from_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(says("Yes.")) as server:
        settings = JudgeSettings(url=server.url, model="m", api_key_env="THE_KEY")
        with pytest.raises(ConfigError, match="THE_KEY, which is not set"):
            HTTPAsker.from_settings(settings)
        monkeypatch.setenv("THE_KEY", "k")
        assert HTTPAsker.from_settings(settings).ask(ASKED).text == "Yes."
    assert server.requests[0][1]["Authorization"] == "Bearer k"
    with pytest.raises(ConfigError, match="no judge is configured"):
        HTTPAsker.from_settings(JudgeSettings())


def test_several_threads_share_an_asker() -> None:
    def echoes(server: Server, request: BaseHTTPRequestHandler, asked: Any) -> None:
        send(request, 200, completion(asked["messages"][-1]["content"]))

    answers: dict[int, str] = {}
    with Server(echoes) as server:
        client = asker(server)

        def ask(n: int) -> None:
            answers[n] = client.ask([Message("user", f"question {n}")]).text

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: f"question {n}" for n in range(8)}


# --- recorded and scripted


def test_a_cassette_records_once_and_replays(tmp_path: Path) -> None:
    cassette = tmp_path / "c.jsonl"
    live = ScriptedAsker([GOOD, "two", "three"], name="live")
    recorder = ReplayAsker(cassette, live)
    first = recorder.ask(ASKED, schema=Judgement)
    assert recorder.ask(ASKED, schema=Judgement) == first
    assert recorder.ask(ASKED).text == "two"
    assert recorder.ask(ASKED, temperature=0.7).text == "three"
    assert len(live.asked) == 3
    assert recorder.name == "live"

    replay = ReplayAsker(cassette)
    assert replay.name == "replay:c.jsonl"
    assert replay.ask(ASKED, schema=Judgement) == first
    assert replay.ask(ASKED).text == "two"
    with pytest.raises(JudgeError, match="no recorded answer to this request"):
        replay.ask(ASKED, max_tokens=1)
    with pytest.raises(JudgeError, match="no recorded answer to this request"):
        replay.ask([*ASKED, Message("user", "More?")])


def test_cassettes_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such cassette"):
        ReplayAsker(tmp_path / "missing.jsonl")
    for content in (
        "{",
        "[]",
        '{"key": "k"}',
        '{"key": "k", "answer": {"odd": 1}}',
        '{"key": "k", "answer": {"text": 3}}',
    ):
        broken = tmp_path / "broken.jsonl"
        broken.write_text(content)
        with pytest.raises(DataError, match="line 1 is no recorded answer"):
            ReplayAsker(broken)
    cassette = tmp_path / "c.jsonl"
    ReplayAsker(cassette, ScriptedAsker([GOOD])).ask(ASKED, schema=Judgement)
    cassette.write_text(cassette.read_text().replace("0.9", "9.9"))
    with pytest.raises(JudgeError, match="does not fit: confidence"):
        ReplayAsker(cassette).ask(ASKED, schema=Judgement)


def test_scripts() -> None:
    script = ScriptedAsker(["a", "b"])
    assert [script.ask(ASKED).text for _ in "ab"] == ["a", "b"]
    with pytest.raises(JudgeError, match="the script has 2 answers, this is question 3"):
        script.ask(ASKED)
    by_function = ScriptedAsker(lambda messages: messages[-1].text.upper(), name="shout")
    answer = by_function.ask([Message("user", "why")])
    assert (answer.text, answer.model, by_function.asked) == ("WHY", "shout", [(Message("user", "why"),)])
    with pytest.raises(JudgeError, match="twice an answer that is no Judgement"):
        ScriptedAsker(["no", "still no"]).ask(ASKED, schema=Judgement)


def test_all_of_them_are_askers(tmp_path: Path) -> None:
    askers: list[Asker] = [
        HTTPAsker("http://127.0.0.1:1", "m"),
        LocalAsker("tiny"),
        ScriptedAsker([]),
        ReplayAsker(tmp_path / "c.jsonl", ScriptedAsker([])),
    ]
    assert [a.name for a in askers] == ["127.0.0.1/m", "tiny", "scripted", "scripted"]


# --- local


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAsker]:
    if find_spec("torch") is None or find_spec("transformers") is None:
        pytest.skip("needs the extra redteam")
    yield LocalAsker("tiny")


def test_a_local_model_answers(local: LocalAsker) -> None:
    first = local.ask(ASKED, max_tokens=8)
    assert isinstance(first, Answer)
    assert 0 < first.completion_tokens <= 8
    assert first.prompt_tokens > 20
    assert first.model == "tiny"
    assert local.ask(ASKED, max_tokens=8).text == first.text
    warm = [local.ask(ASKED, max_tokens=8, temperature=1.0).text for _ in range(2)]
    assert warm[0] == warm[1]
    with pytest.raises(JudgeError, match="twice an answer that is no Judgement"):
        local.ask(ASKED, schema=Judgement, max_tokens=8)
    with pytest.raises(JudgeError, match=r"tokens, the model takes \d+"):
        local.ask([Message("user", "x" * 10_000)])


def test_chat_templates(local: LocalAsker) -> None:
    local.ask(ASKED, max_tokens=1)  # loads it
    assert local._loaded is not None
    tokenizer = local._loaded.tokenizer
    template = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}"
    try:
        tokenizer.chat_template = template
        prompt_tokens = local.ask(ASKED, max_tokens=2).prompt_tokens
        assert prompt_tokens == len("system=You judge.;user=Is this planted?;")
        tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
        with pytest.raises(JudgeError, match="chat template refuses these messages: System role not supported"):
            local.ask(ASKED, max_tokens=2)
    finally:
        tokenizer.chat_template = None


def test_a_local_reference(local: LocalAsker) -> None:
    reference = LocalReference("tiny")
    scored = reference.log_probs([("Buy", " now"), ("Sell", ""), ("", "x")])
    assert [len(s) for s in scored] == [4, 0, 1]
    assert all(p < 0 and math.isfinite(p) for s in scored for p in s)
    assert reference.name == "tiny"


def test_unknown_local_models(local: LocalAsker) -> None:
    with pytest.raises(ConfigError, match="unknown model 'no-such-model'"):
        LocalAsker("no-such-model").ask(ASKED)
