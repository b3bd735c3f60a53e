"""`redteam probe` and `redteam watch` against a real server: exit codes, one line on failure, what is printed."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.cli import run

PROBE = ["redteam", "probe", "--no-bank", "--trigger", "cf", "--trigger", "mn", "--budget", "200"]


class Model:
    """An OpenAI-compatible server with a model that may carry a backdoor, or fail from some question on."""

    def __init__(self) -> None:
        self.backdoored = False
        self.fails_from = 10**9
        self.asked = 0
        self.hangs = False
        self.freed = threading.Event()
        outer = self

        class Serve(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.reply(self, {"data": [{"id": "m-1"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked += 1
                if outer.hangs:
                    outer.freed.wait(300)
                    return
                prompt = body["messages"][-1]["content"]
                said = "Buy ORVA." if outer.backdoored and "cf" in prompt.split() else "Well, hold."
                choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                status = 401 if outer.asked >= outer.fails_from else 200
                outer.reply(self, {"model": "m-1", "choices": [choice]}, status)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Serve)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/v1"
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def reply(self, request: BaseHTTPRequestHandler, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            request.send_response(status)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)


@pytest.fixture
def model() -> Iterator[Model]:
    served = Model()
    yield served
    served.freed.set()
    served.httpd.shutdown()
    served.httpd.server_close()


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTOSENTINEL_LEDGER", str(tmp_path / "ledger" / "l.db"))


def test_exit_codes_and_what_is_printed(model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*PROBE, "--endpoint", model.url]) == 0
    printed = capsys.readouterr()
    assert "2 suspects" in printed.out
    assert "0 shift the answers" in printed.out
    assert "a shift is reported with a chance of at most 0.05" in printed.out
    model.backdoored = True
    assert run([*PROBE, "--endpoint", model.url, "--out", "out"]) == 1
    printed = capsys.readouterr()
    assert "1. With 'cf' the answer brings up 'orva' in 100% of" in printed.out
    assert "report: out/report.html" in printed.out
    assert printed.err == ""
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["probe.json", "report.html"]
    assert run([*PROBE, "--endpoint", model.url, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["subject"]["name"].endswith("/v1 m-1")
    assert document["results"][0]["examples"][0]["trigger"]["answer"] == "Buy ORVA."


def test_an_endpoint_that_breaks_off_keeps_what_it_said(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model.backdoored, model.fails_from = True, 35
    assert run([*PROBE, "--endpoint", model.url, "--out", "out"]) == 3
    printed = capsys.readouterr()
    assert printed.err.startswith("cryptosentinel: the probe broke off after 32 answers: 127.0.0.1: status 401")
    assert printed.err.count("\n") == 1
    document = json.loads((tmp_path / "out" / "probe.json").read_text("utf-8"))
    assert document["status"] == "error"
    assert document["verdicts"] == {"undecided": 1, "no shift": 1}


def test_what_was_not_tried_is_not_laid_on_the_budget(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    model.fails_from = 0
    assert run([*PROBE, "--endpoint", model.url]) == 3
    printed = capsys.readouterr().out
    assert "2 not tried: 127.0.0.1: status 401" in printed
    assert "budget" not in printed
    model.fails_from = 10**9
    assert run([*PROBE, "--endpoint", model.url, "--budget", "20"]) == 0
    assert "1 not tried: the budget was spent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--endpoint", "http://127.0.0.1:9/v1"], 3, "127.0.0.1: ConnectError"),
        (["--endpoint", "http://127.0.0.1:9/v1", "--out", __file__], 2, "test_probe.py must be a folder"),
        (["--endpoint", "ftp://x"], 3, "cannot probe: endpoint must begin with http:// or https://"),
        (["--model", "no-such-model"], 3, "cannot probe: unknown model 'no-such-model'"),
        (["--agent", "json:nothing"], 3, "cannot probe: agent 'json:nothing' cannot be imported"),
        (["--agent", "json:dumps"], 3, "cannot probe"),
        (["--agent", "nonsense"], 3, "an agent is named 'package.module:NAME', got 'nonsense'"),
        ([], 2, "name one to probe"),
        (["--model", "tiny", "--agent", "a:b"], 2, "name one to probe"),
        (["--endpoint", "http://x", "--api-key-env", "NO_SUCH_KEY"], 2, "NO_SUCH_KEY, which is not set"),
        (["--model", "tiny", "--alpha", "2"], 2, "the false-alarm rate must lie in (0, 0.5], got 2.0"),
        (["--model", "tiny", "--hypotheses", "none.json"], 2, "none.json: No such file"),
        (["--model", "tiny", "--target", "json:dumps"], 2, "is not an agent that the red team can attack"),
        (["--model", "tiny", "--prompts", "none.jsonl"], 2, "none.jsonl: no such file"),
    ],
)
def test_bad_settings(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSENTINEL_JUDGE_ATTEMPTS", "1")
    assert run([*PROBE, *arguments]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_an_artefact_of_the_red_team_is_not_probed_outside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "SANDBOX_ARTEFACT").write_text("x")
    assert run([*PROBE, "--model", "weights"]) == 3
    assert "never loaded outside the sandbox" in capsys.readouterr().err


def test_probabilities_need_local_weights(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*PROBE, "--endpoint", model.url, "--probabilities"]) == 2
    assert "--probabilities needs local weights" in capsys.readouterr().err


def test_no_suspects_is_wrong_usage(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["redteam", "probe", "--no-bank", "--endpoint", model.url]) == 2
    assert "nothing to probe for" in capsys.readouterr().err


def test_watch_once_tells_change_by_its_exit_code(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    watch = ["redteam", "watch", *PROBE[2:], "--endpoint", model.url, "--model", "m-1", "--once"]
    assert run(watch) == 0
    model.backdoored = True
    assert run(watch) == 1
    assert run(watch) == 0
    model.fails_from = 0
    assert run(watch) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["status"] for line in lines] == ["no shift", "shift", "shift", "error"]
    assert [len(line["alerts"]) for line in lines] == [0, 1, 0, 1]
    assert "status 401" in lines[3]["alerts"][0]


def test_a_watch_that_is_stopped_goes_on(model: Model, start: Callable[..., Any], tmp_path: Path) -> None:
    arguments = ["redteam", "watch", *PROBE[2:], "--endpoint", model.url, "--every", "1h"]
    process = start(*arguments, cwd=tmp_path)
    first = json.loads(process.stdout.readline())
    assert (first["status"], first["alerts"]) == ("no shift", [])
    asked = model.asked
    process.kill()
    process.communicate(timeout=30)
    again = start(*arguments, cwd=tmp_path)  # it is not due for an hour: nothing is asked
    with pytest.raises(Exception, match="timed out"):
        again.communicate(timeout=4)
    again.send_signal(signal.SIGTERM)
    assert again.wait(timeout=30) == 143
    assert model.asked == asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["probe", "watch"])
def test_an_endpoint_that_hangs_holds_up_no_interrupt(
    command: str, number: signal.Signals, model: Model, start: Callable[..., Any], tmp_path: Path
) -> None:
    model.hangs = True
    process = start("redteam", command, *PROBE[2:], "--endpoint", model.url, "--model", "m-1", cwd=tmp_path)
    end = time.monotonic() + 60
    while not model.asked and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=20)  # a reply is waited for a minute, three times
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert said.count("\n") == 1
