"""A disk that is full, a file that is locked, a server that is gone: what was acknowledged is there once, alarms too.

The state afterwards is that of a run in which nothing failed. `benchmarks/monitor_faults.py` has the same with gaps of
a minute.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "adapters"))

from faulty_stores import FullDisk, Gone, Limited, Locked, Store, same  # type: ignore[import-not-found]
from ledger_places import Given  # type: ignore[import-not-found]
from otlp_senders import body_json, span  # type: ignore[import-not-found]

from cryptosentinel.adapters.otlp import receiver
from cryptosentinel.adapters.otlp_intake import Intake
from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger import Ledger, database
from cryptosentinel.monitor import Plan, Watch
from cryptosentinel.services.monitor_ledger import LedgerWatch, watches
from cryptosentinel.types import Event

BATCHES, SIZE = 12, 40
FAILS_AT = (2, 3, 6, 9)
CHANGES_AT = 8


@pytest.fixture(params=["limited", "full disk", "locked", pytest.param("gone", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    made: Any
    if request.param == "gone":
        server = request.getfixturevalue("postgres")
        if isinstance(server, Given):
            pytest.skip("that server is not ours to stop")
        made = Gone(server)
    elif request.param == "full disk":
        try:
            made = FullDisk(tmp_path / "disk", 4)
        except PermissionError as error:
            pytest.skip(f"no disk may be mounted: {error.strerror}")
    else:
        made = {"limited": Limited, "locked": Locked}[request.param](tmp_path / "l.db")
    yield made
    made.close()


def decided(n: int, risky: bool, start: int) -> Event:
    body = {"attributes": {"risky": risky, "note": "x" * 200}}
    return Event(f"e{start + n}", float(start + n), "", "Trader", "decision", "Trader", "", body)


def decisions(start: int, seed: int, often: float) -> list[Event]:
    draw = random.Random(seed)
    return [decided(n, draw.random() < often, start) for n in range(SIZE)]


def learnt() -> Watch:
    draw = random.Random(0)
    return Watch.learn(Plan(), [decided(n, draw.random() < 0.1, 0) for n in range(400)])


def state(ledger: Ledger) -> dict[str, Any]:
    return watches(ledger)["desk"].state()


def through(send: Callable[[int], bool], store: Store | None) -> int:
    """Send all batches, the same again until it is taken; the store fails now and then. How often was it not taken?"""
    refused = 0
    for batch in range(BATCHES):
        if store is None:
            assert send(batch)
            continue
        if batch in FAILS_AT:
            store.break_()
        if not send(batch):
            refused += 1 + sum(not send(batch) for _ in range(2))
            store.mend()
            while not send(batch):
                refused += 1
                assert refused < 100
        elif batch in FAILS_AT:  # there was room left
            store.mend()
    return refused


def test_the_watch(store: Store, tmp_path: Path) -> None:
    batches = [decisions(1000 + k * SIZE, k, 0.6 if k >= CHANGES_AT else 0.1) for k in range(BATCHES)]

    def sender(ledger: Ledger) -> Callable[[int], bool]:
        kept = LedgerWatch(ledger, "desk", learnt, every=100)

        def send(k: int) -> bool:
            try:
                kept.take(batches[k])
            except LedgerError as error:
                assert "\n" not in str(error)
                return False
            return True

        return send

    whole, faulty = Ledger.open(tmp_path / "whole.db"), Ledger.open(store.url)
    through(sender(whole), None)
    assert through(sender(faulty), store) >= 3
    assert set(same(whole, faulty, "desk", state).values()) == {True}


def test_the_receiver(store: Store, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    def request(k: int) -> bytes:
        """Each agent's span comes with the tool call of the one after it, so that something always waits."""
        draw = random.Random(k)
        spans = []
        for n in range(SIZE):
            at, trace = (k * SIZE + n) / 100, f"{k * SIZE + n + 1:032x}"
            agent: dict[str, Any] = {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": "Trader",
                "output.value": "x" * 200,
            }
            agent["cryptosentinel.decision.risky"] = draw.random() < (0.6 if k >= CHANGES_AT else 0.1)
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "swap"}
            spans.append(span(1, agent, trace=trace, at=at))
            spans.append(span(2, tool, 1, trace=f"{(k + 1) * SIZE + n + 1:032x}", at=at))
        return bytes(body_json(spans))

    bodies = [request(k) for k in range(BATCHES)]

    def run(ledger: Ledger, store: Store | None) -> int:
        watch = LedgerWatch(ledger, "desk", learnt, every=100)
        with TestClient(receiver(Intake(ledger, watch=watch))) as client:

            def send(k: int) -> bool:
                answer = client.post("/v1/traces", content=bodies[k], headers={"Content-Type": "application/json"})
                assert (answer.status_code, json.loads(answer.content).get("code")) in ((200, None), (503, 14))
                return answer.status_code == 200

            return through(send, store)

    whole, faulty = Ledger.open(tmp_path / "whole.db"), Ledger.open(store.url)
    run(whole, None)
    assert run(faulty, store) >= 3
    assert set(same(whole, faulty, "desk", state).values()) == {True}
    agents: Sequence[set[str]] = [{e.body["agent"] for e in ledger.entries("event")} for ledger in (whole, faulty)]
    assert agents[0] == agents[1] == {"Trader"}


def test_a_parent_that_could_not_come_while_the_ledger_was_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptosentinel.adapters.otlp_wire import JSON, spans_of

    now = [100.0]
    ledger = Ledger.open(tmp_path / "l.db")
    intake = Intake(ledger, patience_s=30, now=lambda: now[0])
    child = spans_of(body_json([span(2, {"gen_ai.operation.name": "execute_tool"}, 1)]), JSON, False)[0]
    parent = spans_of(body_json([span(1, {"gen_ai.agent.name": "Trader"})]), JSON, False)[0]
    intake.take(child)

    def gone(self: Ledger, items: Any) -> Any:
        raise LedgerError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append_many", gone)
        for now[0] in (101.0, 130.0, 160.0, 200.0):
            with pytest.raises(LedgerError):
                intake.take(parent)
    now[0] = 220.0
    intake.settle()
    assert intake.waiting == 1
    intake.take(parent)
    assert [e.body["agent"] for e in ledger.entries("event")] == ["Trader"]
