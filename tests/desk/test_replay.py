"""A session judged again from its ledger: the same, and not the same once somebody touched it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agno")

from cryptosentinel.cli import run
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.replay import replay_desk, steps
from cryptosentinel.desk.run import run_desk
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.ledger import Ledger

Change = Callable[[str, dict[str, Any]], bool]  # kind, body -> is it kept


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session under attack that traded, was held and was blocked."""
    out = tmp_path_factory.mktemp("session")
    document = run_desk(days=2, seed=2, attack="structuring", out=out)
    assert document["fills"] and document["held"]
    return out


def rewritten(played: Path, to: Path, change: Change) -> Path:
    """A ledger with a chain that holds, in which somebody changed something."""
    made = Ledger.open(to)
    items = [(e.kind, json.loads(json.dumps(e.body))) for e in Ledger.open(played / "ledger.db").entries()]
    made.append_many([(kind, body) for kind, body in items if change(kind, body)])
    assert made.verify().ok
    return to


def bodies(played: Path, kind: Any) -> Iterator[dict[str, Any]]:
    return (dict(e.body) for e in Ledger.open(played / "ledger.db").entries(kind))


def test_every_verdict_and_the_books_are_the_same(played: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = replay_desk(played)
    recorded = json.loads((played / "desk.json").read_text())
    assert document["same"] and document["differences"] == []
    assert (document["steps"], document["trades"], document["pnl"]) == (
        recorded["steps"], recorded["fills"], recorded["pnl"],
    )  # fmt: skip
    held = [b for b in bodies(played, "verdict") if b["action"] in ("hold", "block")]
    assert len(held) == recorded["held"] + recorded["blocked"] > 0
    assert document["head"] == recorded["ledger"]["head"]
    assert run(["desk", "replay", str(played)]) == 0
    assert "every verdict the same" in capsys.readouterr().out
    assert replay_desk(played / "ledger.db")["same"]


def test_what_was_judged_together_is_one_step(played: Path) -> None:
    found = list(steps(Ledger.open(played / "ledger.db")))
    assert sum(map(len, found)) == len(list(bodies(played, "event")))
    assert max(map(len, found)) > 1
    assert all(len({event.run_id for event, _ in step}) == 1 for step in found)


def first_held(played: Path) -> str:
    return next(str(b["event"]) for b in bodies(played, "verdict") if b["action"] == "hold")


def test_a_verdict_that_was_turned_is_found(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = first_held(played)

    def allowed(kind: str, body: dict[str, Any]) -> bool:
        if kind == "verdict" and body["event"] == wanted:
            body |= {"action": "allow", "message": "", "because": []}
        return True

    forged = rewritten(played, tmp_path / "forged.db", allowed)
    document = replay_desk(forged)
    assert not document["same"] and document["differences"][0]["event"] == wanted
    assert "action was 'allow', is now 'hold'" in document["differences"][0]["how"]
    assert run(["desk", "replay", str(forged)]) == 1
    assert "not the same: " in capsys.readouterr().out


def test_a_size_that_was_changed_is_found(played: Path, tmp_path: Path) -> None:
    def smaller(kind: str, body: dict[str, Any]) -> bool:
        if kind == "event" and body["kind"] == "tool_call" and body["body"]["tool"] == "execute_swap":
            body["body"]["arguments"]["amount_in"] = "1"
        return True

    document = replay_desk(rewritten(played, tmp_path / "forged.db", smaller))
    assert not document["same"]
    assert any("execute_swap answered" in d["how"] for d in document["differences"])


def test_a_step_that_was_taken_out_is_found(played: Path, tmp_path: Path) -> None:
    swaps = [b["id"] for b in bodies(played, "event") if b["body"].get("tool") == "execute_swap"]

    def without(kind: str, body: dict[str, Any]) -> bool:
        return not ({body.get("id"), body.get("event")} & set(swaps))

    document = replay_desk(rewritten(played, tmp_path / "forged.db", without))
    assert not document["same"] and "trades and" in document["reason"]


def test_an_end_that_was_cut_off_is_found(played: Path, tmp_path: Path) -> None:
    def no_end(kind: str, body: dict[str, Any]) -> bool:
        return body.get("phase") != "end"

    cut = rewritten(played, tmp_path / "ledger.db", no_end)
    assert replay_desk(cut)["reason"] == "the session has no end in the ledger"
    (tmp_path / "desk.json").write_bytes((played / "desk.json").read_bytes())
    assert "the ledger does not end with" in replay_desk(tmp_path)["reason"]


def test_a_verdict_that_was_cut_off_is_found(played: Path, tmp_path: Path) -> None:
    last = [body["event"] for body in bodies(played, "verdict")][-1]

    def cut(kind: str, body: dict[str, Any]) -> bool:
        return body.get("phase") != "end" and not (kind == "verdict" and body["event"] == last)

    where = rewritten(played, tmp_path / "ledger.db", cut)
    document = replay_desk(where)
    assert [(d["event"], d["how"]) for d in document["differences"]] == [(last, "the ledger has no verdict on it")]
    assert document["reason"] == "1 differences; the session has no end in the ledger"
    assert run(["desk", "replay", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "desk.json cannot be read: it is no JSON"),
        ("[" * 100_000, "desk.json cannot be read: it is no JSON"),
        ("[]", "desk.json does not say how the ledger ends"),
        ('{"ledger": {"head": null}}', "desk.json does not say how the ledger ends"),
        (None, "desk.json cannot be read: Is a directory"),
    ],
)
def test_a_document_that_cannot_be_read_is_not_the_same(
    played: Path, tmp_path: Path, content: str | None, reason: str
) -> None:
    rewritten(played, tmp_path / "ledger.db", lambda kind, body: True)
    if content is None:
        (tmp_path / "desk.json").mkdir()
    else:
        (tmp_path / "desk.json").write_text(content)
    document = replay_desk(tmp_path)
    assert (document["same"], document["reason"]) == (False, reason)
    assert run(["desk", "replay", str(tmp_path)]) == 1


def test_an_end_that_was_not_checked_is_said(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "the ledger's end was not checked"
    assert replay_desk(played)["end_checked"]
    assert run(["desk", "replay", str(played)]) == 0
    assert said not in capsys.readouterr().out
    alone = rewritten(played, tmp_path / "ledger.db", lambda kind, body: True)
    for where in (tmp_path, alone):
        assert run(["desk", "replay", str(where)]) == 0
        assert said in capsys.readouterr().out


def test_an_entry_that_was_changed_in_place_breaks_the_chain(played: Path, tmp_path: Path) -> None:
    source, copy = sqlite3.connect(played / "ledger.db"), sqlite3.connect(tmp_path / "ledger.db")
    source.backup(copy)
    for (name,) in copy.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        copy.execute(f'drop trigger "{name}"')
    copy.execute("update entries set body = replace(body, '\"hold\"', '\"allow\"') where kind = 'verdict'")
    copy.commit()
    document = replay_desk(tmp_path)
    assert not document["same"] and "content and hash differ" in document["reason"] and document["steps"] == 0


def test_what_is_no_session_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError):
        replay_desk(tmp_path)
    other = Ledger.open(tmp_path / "ledger.db")
    other.append("run", {"command": "scan"})
    with pytest.raises(DataError, match="no session of the desk"):
        replay_desk(tmp_path)
    assert run(["desk", "replay", str(tmp_path)]) == 2
    (tmp_path / "text.db").write_text("no database")
    assert run(["desk", "replay", str(tmp_path / "text.db")]) == 3
    assert capsys.readouterr().err.count("\n") == 2


def test_other_prices_are_other_facts(tmp_path: Path) -> None:
    run_desk(days=2, seed=2, out=tmp_path)
    assert replay_desk(tmp_path)["same"]
    assert not replay_desk(tmp_path, market=PaperMarket(days=2, seed=3))["same"]
