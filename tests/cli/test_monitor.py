"""`monitor replay`, `explain` and `status` as a person or a script meets them."""

from __future__ import annotations

import gzip
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from cryptosentinel.cli import run
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.services.events import as_event
from cryptosentinel.services.monitor_ledger import alarms_of, watches

ALARM_KEYS = {"time", "agent", "stream", "detector", "evidence", "threshold", "run_length_guarantee"}


def lines(n: int, seed: int, risky: float = 0.1, ids: bool = True) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        ({"id": f"{seed}-{i}"} if ids else {})
        | {"time": f"2026-11-{1 + i // 1440:02}T{i // 60 % 24:02}:{i % 60:02}:00Z"}
        | {"agent": "Trader", "kind": "decision"}
        | {"attributes": {
            "asset": draw.choice(["BTC", "ETH", "SOL"]), "size": round(draw.expovariate(0.02), 2),
            "risky": draw.random() < risky, "venue": "dex",
        }}
        for i in range(n)
    ]  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, which is faster to start."""

    def run_here(*arguments: Any) -> Done:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        return Done(code, *capsys.readouterr())

    return run_here


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base.jsonl", lines(400, 1))


def test_nothing_changed(command: Callable[..., Any], base: Path, tmp_path: Path) -> None:
    done = command("monitor", "replay", write(tmp_path / "e.jsonl.gz", lines(800, 2)), "--baseline", base,
                   "--out", tmp_path / "o" / "alarms.jsonl")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "o" / "alarms.jsonl").read_text() == ""
    assert (tmp_path / "o" / "rejects.jsonl").read_text() == ""
    assert "800 decisions, 3 streams, 0 alarms (at most one false alarm in 10,000 decisions" in done.out


def test_a_change_is_one_line(here: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    events = write(tmp_path / "e.jsonl", lines(100, 2) + lines(200, 3, risky=0.6))
    out = tmp_path / "alarms.jsonl"
    out.write_text("old")
    done = here("monitor", "replay", events, "--baseline", base, "--out", out)
    assert done.code == 1
    alarms = [json.loads(line) for line in out.read_text().splitlines()]
    assert [a["stream"] for a in alarms] == ["risky"]
    assert set(alarms[0]) >= ALARM_KEYS
    assert alarms[0]["evidence"] >= alarms[0]["threshold"] >= alarms[0]["run_length_guarantee"] == 10_000
    assert alarms[0]["time"].startswith("2026-11-01T")
    printed = here("monitor", "replay", events, "--baseline", base)
    assert [json.loads(line) for line in printed.out.splitlines()] == alarms
    document = json.loads(here("monitor", "replay", events, "--baseline", base, "--json").out)
    assert document["alarms"] == alarms
    assert document["left_out"] == {"Trader": {"venue": "never changes"}}


BAD: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("[1, 2]", "an event is a JSON object"),
    ({"time": 1, "agent": "Trader", "kind": "decision"}, "attributes must be an object"),
    ({"time": 1, "agent": "Trader", "kind": "guess", "attributes": {}}, "kind must be one of"),
    ({"time": "yesterday", "agent": "Trader", "kind": "decision", "attributes": {}}, "time must be"),
    ({"time": 1e18, "agent": "Trader", "kind": "decision", "attributes": {}}, "time must be"),
    ({"agent": "Trader", "kind": "decision", "attributes": {}}, "time is missing"),
    ({"time": 1, "agent": "", "kind": "decision", "attributes": {}}, "agent must be a name"),
    ({"time": 1, "agent": "x" * 1000, "kind": "decision", "attributes": {}}, "agent must be a name"),
    ({"id": [1], "time": 1, "agent": "a", "kind": "decision", "attributes": {}}, "id must be"),
    ('{"time": 1, "agent": "Trader", "kind": "decision", "attributes": {"size": NaN}}', "NaN is not JSON"),
    ('{"time": 1, "time": 2, "agent": "Trader", "kind": "decision", "attributes": {}}', "stands twice"),
    ("[" * 5000, "nested deeper"),
]


def test_bad_events_are_rejected_with_their_reason(here: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    events = write(tmp_path / "e.jsonl", [*lines(50, 2), *(row for row, _ in BAD)])
    done = here("monitor", "replay", events, "--baseline", base, "--out", tmp_path / "a.jsonl")
    assert done.code == 0
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [r["line"] for r in rejects] == list(range(51, 51 + len(BAD)))
    for reject, (_, reason) in zip(rejects, BAD, strict=True):
        assert reason in reject["reason"]
    assert f"50 decisions, {len(BAD)} unreadable" in done.out


def test_an_id_counts_once_and_no_id_is_never_merged(here: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    twice = write(tmp_path / "e.jsonl", lines(60, 2) * 2 + lines(30, 3, ids=False) * 2)
    document = json.loads(here("monitor", "replay", twice, "--baseline", base, "--json").out)
    assert (document["decisions"], document["duplicates"]) == (120, 60)


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({}, 2, "no such file"),
        ({"e": [], "b": []}, 2, "no rows"),
        ({"e": ["{"], "b": "good"}, 2, "no readable row (1 rejected"),
        ({"e": "good", "b": ["{"]}, 2, "no readable row (1 rejected"),
        ({"e": "good", "b": "few"}, 3, "the baseline makes no stream"),
        ({"e": "stranger", "b": "good"}, 3, "has no baseline and 30 of 500 decisions to learn from"),
        ({"e": "good", "b": "good", "c": "decisions = 1"}, 2, "decisions = 1"),
        ({"e": "good", "b": "good", "c": "decision = 1"}, 2, "did you mean decisions?"),
        ({"e": "good", "b": "good", "c": "a = ["}, 2, "not TOML"),
        (
            {"e": "good", "b": "good", "c": '[[feature]]\nname = "x"\nkind = "rate"\nattribute = "rsky"'},
            2,
            "feature 'x' makes no stream: no decision of the baseline has it",
        ),
    ],
)
def test_what_cannot_run_says_so_on_one_line(
    here: Callable[..., Done], tmp_path: Path, files: dict[str, Any], code: int, said: str
) -> None:
    given = {
        "good": lines(100, 5), "few": lines(10, 6), "stranger": [e | {"agent": "Nobody"} for e in lines(30, 7)],
    }  # fmt: skip
    for name in files.keys() & {"e", "b"}:
        write(tmp_path / f"{name}.jsonl", given[files[name]] if isinstance(files[name], str) else files[name])
    extra = []
    if "c" in files:
        (tmp_path / "c.toml").write_text(files["c"])
        extra = ["--config", tmp_path / "c.toml"]
    done = here("monitor", "replay", tmp_path / "e.jsonl", "--baseline", tmp_path / "b.jsonl", *extra)
    assert done.code == code
    assert said in done.err
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1


def test_explain_shows_the_evidence_and_escapes_what_agents_say(
    here: Callable[..., Done], base: Path, tmp_path: Path
) -> None:
    hostile = "</script><script>alert(1)</script>"
    events = lines(300, 3)
    for i, event in enumerate(events):
        if i % 2:
            event["attributes"]["asset"] = hostile
    shown = write(tmp_path / "e.jsonl", events)
    done = here("monitor", "explain", shown, "--baseline", base, "--stream", "asset", "--out", tmp_path / "x.html")
    assert done.code == 0
    assert "(unseen)" in done.out
    assert "█" in done.out
    page = (tmp_path / "x.html").read_text()
    assert "<svg" in page
    assert "<script" not in page
    drawn = here("monitor", "explain", shown, "--baseline", base, "--stream", "asset", "--out", tmp_path / "x.svg")
    assert drawn.code == 0
    assert ElementTree.fromstring((tmp_path / "x.svg").read_text()).tag.endswith("svg")  # noqa: S314  our own
    several = here("monitor", "explain", shown, "--baseline", base, "--out", tmp_path / "y.svg")
    assert (several.code, "an SVG shows one stream, not 3" in several.err) == (2, True)
    for command in ("replay", "explain"):
        folder = here("monitor", command, shown, "--baseline", base, "--out", tmp_path)
        assert (folder.code, folder.err.endswith("must be a file: it is a folder\n")) == (2, True)
    missing = here("monitor", "explain", shown, "--baseline", base, "--stream", "no such")
    assert (missing.code, "known: Trader/asset" in missing.err) == (2, True)


def test_a_ledger_goes_on_where_it_was(here: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    events = write(tmp_path / "e.jsonl", lines(100, 2) + lines(200, 3, risky=0.6))
    ledger = tmp_path / "l.db"
    for _ in range(2):
        done = here("monitor", "replay", events, "--baseline", base, "--ledger", ledger)
        assert done.code == 1
        assert json.loads(done.out.splitlines()[0])["stream"] == "risky"
    status = here("monitor", "status", "--ledger", ledger)
    assert status.code == 0
    assert "300 decisions (" in status.out
    assert "ALARM  Trader: risky" in status.out
    said = json.loads(here("monitor", "status", "--ledger", ledger, "--json").out)
    assert said["watches"]["monitor"]["decisions"] == 300
    assert (
        'alarm{watch="monitor",agent="Trader",stream="risky"} 1'
        in here("monitor", "status", "--ledger", ledger, "--metrics").out
    )
    assert here("monitor", "status", "--ledger", tmp_path / "none.db").code == 2
    assert here("monitor", "status", "--ledger", ledger, "--name", "other").code == 2
    assert here("monitor", "replay", events, "--baseline", base, "--webhook", "http://127.0.0.1:9").code == 2


def test_a_stream_whose_attribute_is_gone_is_said_to_be_blind(
    here: Callable[..., Done], base: Path, tmp_path: Path
) -> None:
    events = lines(100, 2)
    for event in events:
        del event["attributes"]["asset"]
        event["attributes"]["risky"] = str(event["attributes"]["risky"])
    shown = ("monitor", "replay", write(tmp_path / "e.jsonl", events), "--baseline", base)
    ledger = ("--ledger", tmp_path / "l.db")
    for where in ((), ledger):
        done = here(*shown, *where)
        assert done.code == 0
        assert "  not watched any more: Trader: asset (100 missing)" in done.err.splitlines()
        assert "  not watched any more: Trader: risky (100 unreadable)" in done.err.splitlines()
    streams = json.loads(here(*shown, "--json").out)["streams"]
    assert {s["stream"]: (s["watched"], s["counts"].get("missing", 0)) for s in streams} == {
        "asset": (False, 100), "risky": (False, 0), "size": (True, 0),
    }  # fmt: skip
    status = here("monitor", "status", *ledger).out
    assert (
        "  blind  Trader: asset (e-sr categories), 0 decisions, 0 of the threshold at most, 100 missing; not w"
        in status
    )
    metrics = here("monitor", "status", *ledger, "--metrics").out.splitlines()
    labels = 'watch="monitor",agent="Trader",feature'
    assert f'cryptosentinel_monitor_unread_total{{{labels}="asset",why="missing"}} 100' in metrics
    assert f'cryptosentinel_monitor_unread_total{{{labels}="risky",why="unreadable"}} 100' in metrics
    assert f'cryptosentinel_monitor_watched{{{labels}="risky"}} 0' in metrics
    assert f'cryptosentinel_monitor_watched{{{labels}="size"}} 1' in metrics
    nothing = write(tmp_path / "none.jsonl", [e | {"attributes": {}} for e in events])
    for where in ((), ("--ledger", tmp_path / "other.db")):
        done = here("monitor", "replay", nothing, "--baseline", base, *where)
        assert (done.code, "'Trader': asset 100 missing, risky 100 missing, size 100" in done.err) == (3, True)


def test_what_comes_with_some_decisions_only_is_no_news_when_it_does_not(
    here: Callable[..., Done], tmp_path: Path
) -> None:
    base, events = lines(600, 1), lines(300, 2)
    for i, event in enumerate(base + events):
        if i % 50 < 30:  # whole batches lack it
            del event["attributes"]["asset"]
    files = [write(tmp_path / "e.jsonl", events), "--baseline", write(tmp_path / "b.jsonl", base)]
    done = here("monitor", "replay", *files)
    assert (done.code, len(done.err.splitlines())) == (0, 2), done.err
    asset = json.loads(here("monitor", "replay", *files, "--json").out)["streams"][0]
    assert (asset["stream"], asset["optional"], asset["watched"], asset["counts"]) == (
        "asset", True, True, {"missing": 180},
    )  # fmt: skip


def test_a_watch_goes_on_with_what_it_was_begun_with(here: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    events = write(tmp_path / "e.jsonl", lines(50, 2))
    other = write(tmp_path / "other.jsonl", lines(400, 9))
    same = write(tmp_path / "same.jsonl.gz", lines(400, 1, ids=False))
    for name, text in (("c", "decisions = 5000"), ("also", "# the same\ndecisions = 5_000.0"), ("big", "learn = 400")):
        (tmp_path / f"{name}.toml").write_text(text)

    def replay(*said: Any) -> Done:
        return here("monitor", "replay", events, "--ledger", tmp_path / "l.db", *said)

    config = ("--config", tmp_path / "c.toml")
    assert replay(*config).code == 2
    assert not (tmp_path / "l.db").exists()
    assert replay("--baseline", base, *config).code == 0
    again = ("--baseline", same, "--config", tmp_path / "also.toml")
    for same_again in ((), ("--baseline", base), config, again):
        done = replay(*same_again)
        assert (done.code, "one false alarm in 5,000 decisions" in done.err) == (0, True)
    refused: list[tuple[tuple[Any, ...], str]] = [
        (("--baseline", other), "watch 'monitor' of this ledger was begun with another baseline: go on without"),
        (("--config", tmp_path / "big.toml"), "watch 'monitor' of this ledger was begun with another config: go on"),
        (("--baseline", tmp_path / "none.jsonl"), "no such file"),
        (("--config", tmp_path / "none.toml"), "No such file"),
        (("--name", "new"), "no watch 'new' in this ledger: name a --baseline to begin it"),
    ]
    for given, said in refused:
        done = replay(*given)
        assert (done.code, said in done.err) == (2, True), done.err
    assert set(watches(Ledger.open(tmp_path / "l.db"))) == {"monitor"}
    assert here("monitor", "replay", events).code == 2


def test_a_watch_of_an_earlier_version_goes_on_and_says_so(
    here: Callable[..., Done], base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch.learn(Plan(), [as_event(line, "here")[0] for line in lines(400, 7)])
    state = {k: v for k, v in watch.state().items() if k != "baseline"}
    entry = {"command": "monitor", "watch": "monitor", "phase": "state", "state": state}
    Ledger.open(tmp_path / "l.db").append("run", entry)
    events = write(tmp_path / "e.jsonl", lines(50, 2))
    assert here("monitor", "replay", events, "--baseline", base, "--ledger", tmp_path / "l.db").code == 0
    assert caplog.messages == ["watch 'monitor' has begun already: the baseline is not looked at"]


def test_killed_at_any_time_nothing_is_lost_or_counted_twice(
    command: Callable[..., Any], start: Callable[..., Any], base: Path, tmp_path: Path
) -> None:
    events = write(tmp_path / "e.jsonl", lines(3000, 2) + lines(1500, 3, risky=0.6))
    whole, killed = tmp_path / "whole.db", tmp_path / "killed.db"
    arguments = ("monitor", "replay", events, "--baseline", base, "--ledger")
    began = time.monotonic()
    assert command(*arguments, whole).code == 1
    takes = time.monotonic() - began
    draw = random.Random(0)
    kills = 0
    for _ in range(4):
        process = start(*arguments, killed)
        time.sleep(takes * draw.uniform(0.5, 0.95))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.communicate()
    assert command(*arguments, killed).code == 1
    ends = [Ledger.open(where) for where in (whole, killed)]
    assert kills
    assert all(ledger.verify().ok for ledger in ends)
    ids = [[e.body["id"] for e in ledger.entries("event")] for ledger in ends]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4500
    assert list(alarms_of(ends[0], "monitor")) == list(alarms_of(ends[1], "monitor"))
    assert watches(ends[0])["monitor"].state() == watches(ends[1])["monitor"].state()
