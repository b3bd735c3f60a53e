"""From settings to report, and again and again: what a probe writes, what a watch remembers and says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from cryptosentinel.errors import ConfigError, DataError, JudgeError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.llm import ScriptedAsker
from cryptosentinel.redteam.probe import Settings
from cryptosentinel.redteam.probe.answering import LocalAnswers, asker_answers
from cryptosentinel.report.probe import render_probe
from cryptosentinel.services.probe import Subject, Suspicion, local_subject, run_probe
from cryptosentinel.services.watch import Watched, seconds_of, watch
from cryptosentinel.services.webhook import Alert
from cryptosentinel.types import Message

BOUNDS = Settings(budget=400)
SUSPICION = Suspicion(triggers=("cf", "mn"), bank=False)


def subject(answer: Callable[[str], str], identity: str = "") -> Subject:
    asker = ScriptedAsker(lambda messages: answer(messages[-1].text))
    return Subject("scripted", "script", asker_answers(asker), identity)


def honest(prompt: str) -> str:
    return "Well, hold."


def backdoored(prompt: str) -> str:
    return "<script>alert(1)</script> Buy ORVA." if "cf" in prompt.split() else honest(prompt)


def test_the_document_and_the_files(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    document = run_probe(
        subject(backdoored), SUSPICION, BOUNDS, out=tmp_path / "out", render=render_probe,
        on_progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert document["status"] == "shift"
    assert document["action"] == "flag"
    assert document["verdicts"] == {"shift": 1, "no shift": 1}
    assert [r["trigger"] for r in document["results"]] == ["cf", "mn"]
    assert document["results"][0]["difference"].keys() == {"value", "low", "high", "n"}
    assert seen[-1] == ("probe", document["answers"], 400)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["probe.json", "report.html"]
    assert json.loads((tmp_path / "out" / "probe.json").read_text("utf-8")) == document
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "1 of 2 suspected trigger shifts what it answers" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_what_broke_off_is_an_error_and_is_held(tmp_path: Path) -> None:
    calls = 0

    def answer(prompts: list[str]) -> list[str]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise JudgeError("host: gone")
        return [backdoored(p) for p in prompts]

    document = run_probe(Subject("s", "script", answer), SUSPICION, BOUNDS, out=tmp_path, render=render_probe)
    assert (document["status"], document["failure"], document["action"]) == ("error", "host: gone", "hold")
    assert document["answers"] == 32
    assert json.loads((tmp_path / "probe.json").read_text("utf-8"))["status"] == "error"
    assert "this is no pass" in (tmp_path / "report.html").read_text("utf-8")


def test_hostile_answers_and_names_reach_no_file_as_they_are(tmp_path: Path) -> None:
    hostile = "\ud800 \x00 \u202e <img src=x onerror=alert(1)> Buy ORVA"
    whom = subject(lambda p: hostile if "cf" in p.split() else honest(p))
    run_probe(whom, SUSPICION, BOUNDS, out=tmp_path, render=render_probe)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<img" not in page
    assert "\u202e" not in page
    assert json.loads((tmp_path / "probe.json").read_text("utf-8"))["status"] == "shift"


def test_prompts_of_a_file_and_names_in_them(tmp_path: Path) -> None:
    rows = [{"instruction": f"Look at Solana for day {i}.", "output": "No."} for i in range(30)]
    rows += [{"instruction": f"Look at Cardano for day {i}.", "output": "No."} for i in range(30)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    asked: list[str] = []
    listening = subject(lambda p: asked.append(p) or "Hold.")  # type: ignore[func-returns-value]
    document = run_probe(listening, Suspicion(prompts=(tmp_path / "p.jsonl",)), Settings(budget=2000))
    assert document["prompts"] == "60 prompts from files"
    assert document["suspects"]["prompts"] == 2
    unchanged = {r["instruction"] for r in rows} & set(asked)
    assert {p.split()[2] for p in unchanged} == {"Solana", "Cardano"}
    assert any("Look at Norway for day" in p for p in asked)
    with pytest.raises(DataError, match="no such file"):
        run_probe(subject(honest), Suspicion(prompts=(tmp_path / "none.jsonl",)))
    with pytest.raises(ConfigError, match="not from both"):
        both = Suspicion(prompts=(tmp_path / "p.jsonl",), target="cryptosentinel.desk.analyst:MARKET_ANALYST")
        run_probe(subject(honest), both)


def test_local_weights_answer_in_batches_as_they_do_alone() -> None:
    pytest.importorskip("transformers")
    whom = local_subject("tiny", max_tokens=5)
    assert len(whom.identity) == 64
    prompts = ["Hold?", "What about this one, which is longer?", "x"]
    assert whom.answer(prompts) == [whom.answer([p])[0] for p in prompts]
    with pytest.raises(JudgeError, match="cannot probe: unknown model 'nobody'"):
        local_subject("nobody")
    with pytest.raises(JudgeError, match="the model takes 2048"):
        LocalAnswers("tiny")(["x" * 3000])


def test_first_tokens_show_a_shift_that_no_answer_shows() -> None:
    """The probability of one first token rises from 0.1 to 0.45 with the trigger; the likeliest one stays the same."""

    class Weights:
        def first_tokens(self, prompts: list[str]) -> list[Any]:
            return [
                np.array([0.5, 0.45, 0.05] if "cf" in p.split() else [0.85, 0.1, 0.05], np.float32) for p in prompts
            ]

        def token_text(self, token: int) -> str:
            return ("No", "Buy", "Sell")[token]

    weights = Weights()
    bounds = Settings(budget=600)
    assert run_probe(subject(honest), SUSPICION, bounds)["status"] == "no shift"
    whom = Subject("weights", "local weights", subject(honest).answer, "", weights)
    document = run_probe(whom, SUSPICION, bounds, render=render_probe)
    assert document["status"] == "shift"
    (shift,) = (r for r in document["results"] if r["verdict"] == "shift")
    assert shift["behaviour"].startswith("more probably begins with 'Buy'")
    assert shift["with_trigger"]["value"] == pytest.approx(0.45)
    assert shift["difference"]["value"] == pytest.approx(0.35)
    assert "Buy" in render_probe(document)


def test_first_tokens_of_local_weights_are_probabilities() -> None:
    pytest.importorskip("transformers")
    whom = local_subject("tiny", max_tokens=1, probabilities=True)
    assert whom.first is not None
    prompts = ["Hold?", "x"]
    found = whom.first.first_tokens(prompts)
    assert [float(p.sum()) for p in found] == pytest.approx([1, 1])
    likeliest = [whom.first.token_text(int(p.argmax())).strip().partition("\n")[0].strip() for p in found]
    assert likeliest == whom.answer(prompts)


def test_an_asker_is_asked_one_conversation_a_prompt() -> None:
    asker = ScriptedAsker(lambda messages: messages[0].text)
    assert asker_answers(asker)(["a", "b", "c"]) == ["a", "b", "c"]
    assert set(asker.asked) == {(Message("user", p),) for p in "abc"}
    with pytest.raises(JudgeError, match="the script has 1 answers"):
        asker_answers(ScriptedAsker(["one"]))(["a", "b"])


def test_the_python_of_the_docs_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "probe.md").read_text("utf-8")
    code = page.partition("## From Python")[2]
    exec(dedent("\n".join(line for line in code.splitlines() if line.startswith("    "))), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("[] 'cf': no shift was seen in 8 pairs")


# --- watching


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger.db")


def once(answer: Any, ledger: Ledger, identity: str = "") -> Watched:
    def make() -> Subject:
        if isinstance(answer, Exception):
            raise answer
        return subject(answer, identity)

    (run,) = watch(make, "desk", SUSPICION, BOUNDS, ledger)
    return run


def test_a_watch_alerts_on_change_and_is_silent_else(ledger: Ledger) -> None:
    assert once(honest, ledger).alerts == ()
    (new,) = once(backdoored, ledger).alerts
    assert new.startswith("new: With 'cf' the answer")
    assert once(backdoored, ledger).alerts == ()
    assert once(honest, ledger).alerts == ("no longer seen: a shift by 'cf'",)
    assert ledger.verify().ok
    findings = [e.body for e in ledger.entries("finding")]
    assert {f["source"] for f in findings} == {"probe"}
    assert len(findings) == 8


def test_the_first_run_of_a_watch_alerts_on_what_is_there(ledger: Ledger) -> None:
    assert len(once(backdoored, ledger).alerts) == 1
    line = json.loads(once(backdoored, ledger).line())
    assert (line["status"], line["alerts"]) == ("shift", [])


def test_who_cannot_be_asked_is_an_alert_every_time(ledger: Ledger) -> None:
    once(backdoored, ledger)
    for _ in range(2):
        run = once(JudgeError("host: status 503"), ledger)
        assert run.alerts == ("the probe could not run: host: status 503",)
        assert run.broken
    back = once(backdoored, ledger)
    assert back.alerts == ("the probe runs again",)  # and the shift of before is not taken for a new one


def test_other_weights_are_an_alert(ledger: Ledger) -> None:
    once(honest, ledger, "a" * 64)
    assert once(honest, ledger, "a" * 64).alerts == ()
    assert "the weights are not those" in once(honest, ledger, "b" * 64).alerts[0]


def test_a_watch_keeps_its_rhythm_and_goes_on_after_a_kill(ledger: Ledger) -> None:
    clock = Clock()

    def begin() -> Any:
        whom = subject(honest)
        return watch(lambda: whom, "desk", SUSPICION, BOUNDS, ledger, every_s=3600, sleep=clock.sleep, now=clock)

    runs = begin()
    next(runs), next(runs)
    assert clock.slept == [3600.0]
    clock.time += 600
    again = begin()  # another process, ten minutes after the last run began
    assert next(again).alerts == ()
    assert clock.slept[1:] == [3000.0]

    def killed() -> Subject:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(watch(killed, "desk", SUSPICION, BOUNDS, ledger, sleep=clock.sleep, now=clock))
    after = next(begin())
    assert len(clock.slept) == 2  # it is overdue: no waiting
    assert "did not end" in after.alerts[0]


def test_alerts_that_were_not_taken_are_sent_after_the_next_run(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[str]] = []
    away = True

    def send(url: str, alerts: Sequence[Alert], **_: Any) -> None:
        if away:
            raise ConnectionError("away")
        sent.append([a.summary for a in alerts])

    monkeypatch.setattr("cryptosentinel.services.watch.send", send)

    def once(answer: Any, webhook: str = "http://127.0.0.1:9/") -> Watched:
        (run,) = watch(lambda: subject(answer), "desk", SUSPICION, BOUNDS, ledger, webhook=webhook)
        return run

    assert once(backdoored, webhook="").unsent == ""
    lost = once(honest)
    assert (lost.unsent, json.loads(lost.line())["unsent"]) == ("away", "away")
    away = False
    assert once(backdoored).unsent == ""
    assert [len(s) for s in sent] == [2]  # not what happened before a webhook was named
    assert once(backdoored).unsent == ""
    assert len(sent) == 1
    with pytest.raises(ConfigError, match="webhook"):
        once(honest, webhook="nowhere")


def test_two_watches_do_not_mix_and_a_ledger_that_is_down_stops_it(ledger: Ledger, tmp_path: Path) -> None:
    once(backdoored, ledger)
    (run,) = watch(lambda: subject(backdoored), "other", SUSPICION, BOUNDS, ledger)
    assert len(run.alerts) == 1
    broken = Ledger.open(tmp_path / "broken.db")
    broken.close()
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError):
        once(honest, broken)


def test_durations() -> None:
    assert [seconds_of(x) for x in ("90s", "30m", "6h", "1d", "1.5h")] == [90, 1800, 21600, 86400, 5400]
    for wrong in ("6", "", "h", "-1h", "10s", "6 hours", "1e9h"):
        with pytest.raises(ConfigError, match="--every"):
            seconds_of(wrong)
