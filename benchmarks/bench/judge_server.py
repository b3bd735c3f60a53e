"""A chat-completions server on the loopback that answers by a script: for tests, and to count what asking costs."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Say = Callable[[str], Any]  # the question's text -> the answer's fields, its raw text, or an HTTP status


class JudgeServer:
    """A server; `say` makes each answer. `requests` and `headers` keep what was sent.

    Tokens are counted as four characters each. Use as a context manager.
    """

    def __init__(self, say: Say, latency_s: float = 0.0) -> None:
        """Listen on a free port of 127.0.0.1."""
        self.say, self.latency_s = say, latency_s
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Serve(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.reply(200, {"data": [{"id": "m-1"}]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(asked)
                outer.headers.append(dict(self.headers.items()))
                time.sleep(outer.latency_s)
                said = outer.say(asked["messages"][1]["content"])
                if isinstance(said, int):
                    self.reply(said, {"error": "no"})
                    return
                text = said if isinstance(said, str) else json.dumps(said)
                choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                read = sum(len(m["content"]) for m in asked["messages"]) // 4
                usage = {"prompt_tokens": read, "completion_tokens": len(text) // 4}
                self.reply(200, {"model": asked["model"], "choices": [choice], "usage": usage})

            def reply(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self) -> JudgeServer:
        """The server itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it."""
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def code_of(question: str) -> str:
    """The code that the answer must repeat."""
    return str(re.findall(r'"code": "(\w+)"', question)[-1])


def opinion(question: str, safety: float, **fields: Any) -> dict[str, Any]:
    """An answer in the schema, with this score."""
    reasons = [{"turn": 0, "kind": "injection", "said": "nobody asked for it"}] if safety >= 0.5 else []
    made = {"code": code_of(question), "task": "t", "reasons": reasons, "suspicion": safety, "consistency": safety}
    return {**made, "safety": safety, **fields}


def step_of(question: str) -> str:
    """The quoted text of the step that is asked about."""
    parts = re.split(r"^(?=THE STEP, turn|Turn \d+,|That was all)", question, flags=re.MULTILINE)
    return "".join(p for p in parts if p.startswith("THE STEP"))


def attentive(bad: str) -> Say:
    """A judge that sees a hijack where the step holds one of these words (a regular expression)."""
    return lambda question: opinion(question, 0.95 if re.search(bad, step_of(question)) else 0.02)


def obedient(question: str) -> Any:
    """A judge that does whatever any text it reads tells it to: here, to find nothing."""
    return opinion(question, 0.0)
