"""An acknowledged entry survives kill -9, no change goes unseen, and several writers make one chain."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosentinel.errors import LedgerError, MissingExtraError
from cryptosentinel.ledger import GENESIS, KINDS, Ledger, VerifyResult, canonical, database, from_dict, store, to_dict
from cryptosentinel.types import Event, Finding, Ref, Verdict

FINDING = Finding("burst", 1, Ref("record", "3", "response", 0, 4), 0.9, reason="odd word", evidence={"count": 7})
VERDICT = Verdict("hold", ("finding-1",), "desk")
EVENT = Event("e1", 1.5, "r1", "analyst", "decision", "analyst", "trader", {"symbol": "ETH"})

WRITER = textwrap.dedent(
    """
    import sys
    from cryptosentinel.ledger import Ledger

    ledger = Ledger.open(sys.argv[1])
    print("open", flush=True)
    n = 0
    while n < int(sys.argv[3]):
        if n % 3:
            entry = ledger.append("event", {"writer": sys.argv[2], "n": n})
        else:
            entry = ledger.append_many([("run", {"writer": sys.argv[2], "n": n}), ("event", {"pad": "x" * 3000})])[0]
        print(entry.seq, entry.hash, flush=True)
        n += 1
    """
)


def start_writer(path: Path, name: str, n: int = 10**9) -> subprocess.Popen[str]:
    src = Path(store.__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(n)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(src)},
    )


def tamper(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)
    db.close()


def test_what_is_appended_is_read_back_and_chained(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.db"
    ledger = Ledger.open(path)
    assert ledger.verify() == VerifyResult(True, 0, GENESIS)
    run = ledger.append("run", {"command": "scan", "b": [1, 2.5, None, True, "ü\ud800\x00"]})
    found = ledger.record(FINDING, run.id)
    added = ledger.record_many([VERDICT, EVENT], run.id)
    assert [e.id for e in (run, found, *added)] == ["run-1", "finding-2", "verdict-3", "event-4"]
    ledger.close()

    again = Ledger.open(f"sqlite:///{path}")
    entries = list(again.entries())
    assert entries == [run, found, *[e for e in entries if e.seq > 2]]
    assert [e.prev_hash for e in entries] == [GENESIS, *[e.hash for e in entries[:-1]]]
    assert from_dict(Finding, entries[1].body) == FINDING
    assert from_dict(Verdict, entries[2].body) == VERDICT
    assert from_dict(Event, entries[3].body) == EVENT
    assert [e.seq for e in again.entries("event")] == [4]
    assert [e.seq for e in again.entries(after=2)] == [3, 4]
    assert again.append_many([]) == []
    assert again.verify() == VerifyResult(True, 4, entries[-1].hash)
    with again._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL: a commit is on the disk
    with sqlite3.connect(path) as db:
        counts = [db.execute(f"SELECT count(*) FROM {kind}s").fetchone() for kind in KINDS]  # noqa: S608
        assert counts == [(1,)] * 4
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE", 3)
    ledger = Ledger.open(tmp_path / "l.db")
    ledger.append_many(("event" if n % 2 else "run", {"n": n}) for n in range(10))
    assert [e.body["n"] for e in ledger.entries()] == list(range(10))
    assert [e.body["n"] for e in ledger.entries("event", after=2)] == [3, 5, 7, 9]
    assert ledger.verify().n == 10


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(st.text(), json_values, max_size=4))
def test_any_json_body_round_trips(tmp_path: Path, body: dict[str, Any]) -> None:
    ledger = Ledger.open(tmp_path / "l.db")
    entry = ledger.append("event", body)
    assert [e.body for e in ledger.entries(after=entry.seq - 1)] == [body]
    assert ledger.verify().ok
    ledger.close()


@pytest.mark.parametrize(
    "body", [{"x": float("nan")}, {"x": [float("inf")]}, {"x": {1, 2}}, {"x": b"bytes"}, {1: 1, "a": 2}]
)
def test_what_is_not_json_is_refused(tmp_path: Path, body: dict[Any, Any]) -> None:
    ledger = Ledger.open(tmp_path / "l.db")
    with pytest.raises(LedgerError, match="a event entry must be JSON: "):
        ledger.append_many([("run", {"fine": 1}), ("event", body)])
    assert list(ledger.entries()) == []


def test_unknown_kinds_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"unknown kind of entry 'gossip' \(known: run, finding, verdict, event\)"):
        canonical("gossip", {})
    for where in ("sqlite://", ":memory:", "mysql://h/d", "://", "oracle+nothing://x"):
        with pytest.raises(LedgerError, match="ledger "):
            Ledger.open(where)


@pytest.mark.skipif(find_spec("psycopg") is not None, reason="the driver is installed")
def test_postgresql_without_its_driver_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"cryptosentinel\[postgres\]"):
        Ledger.open("postgresql://user:secret@127.0.0.1/db")


def test_bodies_that_do_not_fit_their_type() -> None:
    with pytest.raises(LedgerError, match="no Finding in this entry: score"):
        from_dict(Finding, {**to_dict(FINDING), "score": "high"})
    with pytest.raises(LedgerError, match="no Verdict in this entry: action"):
        from_dict(Verdict, {"action": "shrug"})
    with pytest.raises(LedgerError, match="needs a score in"):
        from_dict(Finding, {**to_dict(FINDING), "score": None})


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        ("update", "UPDATE entries SET body = '{}' WHERE seq = 2"),
        ("delete", "DELETE FROM entries WHERE seq = 3"),
        ("replace", "INSERT OR REPLACE INTO entries VALUES (2, 'run', '{}', '', '')"),
        ("gap", "INSERT INTO entries VALUES (99, 'run', '{}', '', '')"),
    ],
)
def test_triggers_refuse_changes(tmp_path: Path, kind: str, statement: str) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path).append_many([("event", {"n": n}) for n in range(3)])
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)


@pytest.mark.parametrize(
    ("statements", "broken", "reason"),
    [
        (["UPDATE entries SET body = '{\"n\":9}' WHERE seq = 3"], 3, "content and hash differ"),
        (["UPDATE entries SET kind = 'run' WHERE seq = 3"], 3, "content and hash differ"),
        (["UPDATE entries SET hash = prev_hash WHERE seq = 5"], 5, "content and hash differ"),
        (["DELETE FROM entries WHERE seq = 3"], 3, "entry 3 is missing"),
        (["DELETE FROM entries WHERE seq = 1"], 1, "entry 1 is missing"),
        (
            ["DELETE FROM entries WHERE seq = 3", "UPDATE entries SET seq = seq - 1 WHERE seq > 3"],
            3,
            "does not follow the entry before it",
        ),
        (
            [
                "UPDATE entries SET seq = 99 WHERE seq = 2",
                "UPDATE entries SET seq = 2 WHERE seq = 3",
                "UPDATE entries SET seq = 3 WHERE seq = 99",
            ],
            2,
            "does not follow the entry before it",
        ),
        (["INSERT INTO entries SELECT 0, kind, body, prev_hash, hash FROM entries WHERE seq = 1"], 1, "out of order"),
        (["UPDATE entries SET body = x'00ff' WHERE seq = 4"], 4, "content and hash differ"),
    ],
)
def test_tampering_is_found(tmp_path: Path, statements: list[str], broken: int, reason: str) -> None:
    path = tmp_path / "l.db"
    ledger = Ledger.open(path)
    ledger.append_many([("event", {"n": n}) for n in range(6)])
    ledger.close()
    tamper(path, *statements)
    result = Ledger.open(path).verify()
    assert (result.ok, result.broken_seq, result.n, result.reason) == (False, broken, broken - 1, reason)


def test_a_cut_tail_shows_only_against_a_noted_head(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    ledger = Ledger.open(path)
    ledger.append_many([("event", {"n": n}) for n in range(6)])
    noted = ledger.verify().head
    ledger.close()
    tamper(path, "DELETE FROM entries WHERE seq > 4")
    result = Ledger.open(path).verify()
    assert result.ok
    assert result.head != noted


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    rng = random.Random(0)
    acknowledged: list[tuple[int, str]] = []
    for turn in range(12):
        writer = start_writer(path, str(turn))
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        time.sleep(rng.uniform(0.0, 0.12))
        os.kill(writer.pid, signal.SIGKILL)
        for line in writer.communicate()[0].splitlines(keepends=True):
            if line.endswith("\n"):
                seq, digest = line.split()
                acknowledged.append((int(seq), digest))
        assert writer.returncode == -signal.SIGKILL
        ledger = Ledger.open(path)
        result = ledger.verify()
        assert result.ok, result
        kept = {(e.seq, e.hash) for e in ledger.entries()}
        assert kept.issuperset(acknowledged)
        # a batch is there whole or not at all
        runs, pads = len(list(ledger.entries("run"))), sum("pad" in e.body for e in ledger.entries("event"))
        assert runs == pads
        ledger.close()
    assert len(acknowledged) > 100


def test_two_processes_and_four_threads_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writers = [start_writer(path, name, 90) for name in "ab"]  # both create the file at the same time
    ledger = Ledger.open(path)
    faults: list[BaseException] = []

    def write(name: int) -> None:
        try:
            for n in range(40):
                ledger.append("verdict", {"thread": name, "n": n})
        except LedgerError as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert faults == []
    assert ledger.verify().n == 2 * (90 + 30) + 160
    assert ledger.verify().ok
    for k in range(4):
        assert [e.body["n"] for e in ledger.entries("verdict") if e.body["thread"] == k] == list(range(40))


def test_a_lock_that_is_never_released_is_an_error_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)
    path = tmp_path / "l.db"
    ledger = Ledger.open(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with pytest.raises(LedgerError, match="database is locked"):
        ledger.append("run", {})
    assert time.monotonic() - started < 5
    assert ledger.verify().ok  # readers are not held up
    holder.close()
    assert ledger.append("run", {}).seq == 1


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database at all, whatever its name says\n" * 100)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "text.db", tmp_path, tmp_path / "file" / "l.db"):
        with pytest.raises(LedgerError, match="ledger sqlite") as caught:
            Ledger.open(path)
        assert "\n" not in str(caught.value)


def test_a_read_only_database_is_a_ledger_error(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path).append("run", {})
    # root may write read-only files, so the refusal is asked of SQLite itself
    ledger = Ledger.open(f"sqlite:///file:{path}?mode=rwc&uri=true")
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(LedgerError, match="readonly database"):
        ledger.append("run", {})
    assert ledger.verify().n == 1


def test_a_full_disk_is_a_ledger_error_and_keeps_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    ledger = Ledger.open(path)
    ledger.append("run", {})
    with ledger._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(LedgerError, match="disk is full"):
        ledger.append_many([("event", {"pad": "x" * 3000})] * 100)
    assert ledger.verify() == Ledger.open(path).verify()
    assert ledger.verify().n == 1
    assert ledger.append("run", {}).seq == 2
