"""Alerts against a real receiver: what is sent, tried again, given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError
from cryptosentinel.services.webhook import Alert, body, send


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent; answers with the next of `codes`, 200 after them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.codes: list[int] = []
        self.got: list[Any] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook?key=secret"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.codes.pop(0) if self.server.codes else 200
        if code == 200:
            self.server.got.append(json.loads(text))
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


ALERTS = [Alert("drift", "one", 0.0, {"agent": "a"}), Alert("drift", "two", 60.0, {"agent": "b"}, ended=120.0)]


def test_several_alerts_are_one_message(receiver: Receiver) -> None:
    send(receiver.url, ALERTS)
    (message,) = receiver.got
    assert (message["version"], message["status"], message["commonLabels"]) == ("4", "firing", {"alertname": "drift"})
    assert [a["status"] for a in message["alerts"]] == ["firing", "resolved"]
    assert [a["endsAt"] for a in message["alerts"]] == ["0001-01-01T00:00:00Z", "1970-01-01T00:02:00Z"]
    assert message["alerts"][0]["fingerprint"] != message["alerts"][1]["fingerprint"]


def test_nothing_to_say_sends_nothing(receiver: Receiver) -> None:
    send(receiver.url, [])
    assert receiver.got == []


def test_a_busy_receiver_is_tried_again(receiver: Receiver) -> None:
    receiver.codes = [503, 429]
    slept: list[float] = []
    send(receiver.url, ALERTS, sleep=slept.append)
    assert len(receiver.got) == 1
    assert len(slept) == 2


@pytest.mark.parametrize(("codes", "tries"), [([500, 500, 500], 3), ([401], 1)])
def test_who_does_not_take_it_is_named_without_the_secret(receiver: Receiver, codes: list[int], tries: int) -> None:
    receiver.codes = list(codes)
    slept: list[float] = []
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 did not take 2 alerts: answered") as caught:
        send(receiver.url, ALERTS, sleep=slept.append)
    assert "secret" not in str(caught.value)
    assert (len(slept), receiver.codes) == (tries - 1, [])


def test_nobody_there() -> None:
    with pytest.raises(ConnectionError, match="ConnectError"):
        send("http://127.0.0.1:9/x", ALERTS, sleep=lambda _: None)


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:9", "http://", "file:///etc/passwd"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="webhook"):
        send(url, ALERTS)


def test_one_fingerprint_for_the_same_labels() -> None:
    first, second = (body([Alert("x", said, at, {"k": "v"})])["alerts"][0] for said, at in (("a", 1.0), ("b", 2.0)))
    assert first["fingerprint"] == second["fingerprint"]
