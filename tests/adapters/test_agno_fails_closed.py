"""Every way a defence can fail, on every path a call can take: the call is not made. With sound defences it is."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bench.judge_server import JudgeServer, attentive, obedient

pytest.importorskip("agno")

from agno.db.in_memory import InMemoryDb
from agno.tools import tool

from cryptosentinel import registry
from cryptosentinel.adapters.agno import attach
from cryptosentinel.agentspec import Context, RuleBook, Test
from cryptosentinel.errors import LedgerError, SentinelError
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.semantic import Cascade, SemanticGuard
from cryptosentinel.ledger import Ledger
from cryptosentinel.llm import HTTPAsker
from cryptosentinel.observer import Observer

sys.path.insert(0, str(Path(__file__).parent))
from agno_desk import Desk, agent, hand_over, team  # type: ignore[import-not-found]

CALL = ("swap", {"token": "ABC", "amount": 5})
RULES = "rule @a trigger swap check arg.amount > 1_000 enforce stop end"


def once(*calls: Any) -> Any:
    """Ask for these calls, and be done when they were answered."""
    return lambda messages: "Done." if messages[-1].role == "tool" else list(calls)


# -- paths: each runs a guarded agent that asks for a swap ---------------------------------------------------------


def sync(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.swap_tool()])
    attach(trader, observer)
    trader.run("Swap 5 for ABC.")


def stream(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.swap_tool()])
    attach(trader, observer)
    for _ in trader.run("Swap 5 for ABC.", stream=True, stream_events=True):
        pass


def awaited(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.swap_tool()])
    attach(trader, observer)
    asyncio.run(trader.arun("Swap 5 for ABC."))


def async_tool(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.aswap_tool()])
    attach(trader, observer)

    async def all_parts() -> None:
        async for _ in trader.arun("Swap 5 for ABC.", stream=True):
            pass

    asyncio.run(all_parts())


def parallel(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL, CALL, ("swap", {"token": "XYZ"}))], [desk.swap_tool()])
    attach(trader, observer)
    trader.run("Swap 5 for ABC.")
    asyncio.run(trader.arun("Swap 5 for ABC."))


def continued(desk: Desk, observer: Observer) -> None:
    db: Any = InMemoryDb()  # type: ignore[no-untyped-call]
    trader = agent([once(CALL)], [tool(requires_confirmation=True)(desk.swap_tool())], db=db)
    attach(trader, observer)
    output = trader.run("Swap 5 for ABC.")
    for requirement in output.active_requirements:
        requirement.confirm()
    if output.is_paused:
        trader.continue_run(run_id=output.run_id, requirements=output.requirements)


def delegated(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.swap_tool()])
    ask = once(*hand_over("trader", "Swap 5 for ABC."))
    manager = team([once(*hand_over("inner", "Swap 5 for ABC."))], [team([ask], [trader], name="Inner")])
    attach(manager, observer)
    manager.run("Swap 5 for ABC.")
    for _ in manager.run("Swap 5 for ABC.", stream=True):
        pass
    asyncio.run(manager.arun("Swap 5 for ABC."))


def threads(desk: Desk, observer: Observer) -> None:
    trader = agent([once(CALL)], [desk.swap_tool()])
    attach(trader, observer)
    both = [threading.Thread(target=trader.run, args=("Swap 5 for ABC.",), kwargs={"session_id": s}) for s in "ab"]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()


PATHS = {p.__name__: p for p in (sync, stream, awaited, async_tool, parallel, continued, delegated, threads)}

# -- faults: each gives an observer of which one part fails ------------------------------------------------------------

Fault = Callable[["Workshop"], Observer]


class Workshop:
    """Where the parts of an observer are made, and broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open: list[Any] = []

    def judged(self, say: Any, latency_s: float = 0.0, timeout_s: float = 2.0) -> Observer:
        server = JudgeServer(say, latency_s)
        asker = HTTPAsker(server.url, "m", attempts=1, read_timeout_s=2.0)
        self.open += [asker, server]
        guard = SemanticGuard(Guard(checks=[]), asker, cascade=Cascade(always=["swap"]), timeout_s=timeout_s)
        return Observer(RuleBook.parse(RULES), guard)

    def down(self) -> Observer:
        observer = self.judged(attentive("4 Hill Lane"))
        self.open.pop().close()
        return observer

    def ruled(self, text: str | None) -> Observer:
        path = self.folder / "rules.ags"
        if text is not None:
            path.write_text(text)
        return Observer(path, Guard(checks=[]))

    def ledger(self) -> Ledger:
        return Ledger.open(self.folder / "ledger.db")

    def locked(self) -> Observer:
        observer = Observer(RuleBook.parse(RULES), ledger=self.ledger(), timeout_s=0.05)
        lock = sqlite3.connect(self.folder / "ledger.db", isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")
        self.open.append(lock)
        return observer

    def full(self) -> Observer:
        ledger = self.ledger()
        engine = ledger._engine
        sa.event.listen(engine, "connect", lambda connection, record: connection.execute("PRAGMA max_page_count = 40"))
        engine.dispose()
        with pytest.raises(LedgerError, match="full"):
            while True:
                ledger.append("run", {"filler": "x" * 5_000})
        with pytest.raises(LedgerError, match="full"):
            while True:
                ledger.append("run", {})
        return Observer(RuleBook.parse(RULES), ledger=ledger)

    def closed(self) -> None:
        for thing in reversed(self.open):
            thing.close()


class Broken:
    def __getattr__(self, name: str) -> Any:
        def fails(*args: Any, **rest: Any) -> Any:
            raise RuntimeError("broken")

        return fails


class BrokenObserver(Observer):
    def observe_batch(self, events: Any) -> Any:
        raise RuntimeError("broken")


@pytest.fixture(scope="module", autouse=True)
def raising_predicate() -> Iterator[None]:
    def raises() -> Test:
        def test(context: Context) -> bool:
            raise RuntimeError("broken")

        return test

    registry.register("predicate", "raises_in_this_test")(raises)
    yield
    del registry._ENTRIES["predicate", "raises_in_this_test"]


FAULTS: dict[str, Fault] = {
    "judge down": lambda w: w.down(),
    "judge slow": lambda w: w.judged(attentive("4 Hill Lane"), 0.5, 0.02),
    "judge malformed": lambda w: w.judged(lambda question: "Sure, go ahead!"),
    "judge failing": lambda w: w.judged(lambda question: 500),
    "judge injected": lambda w: w.judged(obedient),
    "guard raising": lambda w: Observer(None, Broken()),
    "monitor raising": lambda w: Observer(None, Guard(checks=[]), monitor=Broken()),
    "facts raising": lambda w: Observer(RuleBook.parse(RULES), facts=Broken().facts),
    "ledger locked": lambda w: w.locked(),
    "ledger full": lambda w: w.full(),
    "rule file missing": lambda w: w.ruled(None),
    "rule file empty": lambda w: w.ruled(""),
    "rule file broken": lambda w: w.ruled("rule @a trigger swap check no_such_predicate enforce stop end"),
    "predicate raising": lambda w: w.ruled("rule @a trigger swap check raises_in_this_test enforce none end"),
    "hook raising": lambda w: BrokenObserver(RuleBook.parse(RULES)),
}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Workshop(tmp_path)
    yield made
    made.closed()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_call_is_not_made(fault: str, path: str, workshop: Workshop) -> None:
    desk = Desk()
    try:
        PATHS[path](desk, FAULTS[fault](workshop))
    except SentinelError:
        assert fault.startswith("rule file")  # no observer was made, so nothing was started behind one
    assert desk.swaps == []


@pytest.mark.parametrize("path", PATHS)
def test_with_sound_defences_it_is(path: str, workshop: Workshop) -> None:
    desk = Desk()
    observer = workshop.judged(attentive("4 Hill Lane"))
    observer.ledger = workshop.ledger()
    PATHS[path](desk, observer)
    assert desk.swaps


@pytest.mark.parametrize("path", PATHS)
def test_a_hook_of_anothers_that_raises_keeps_it_from_being_made(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(function_name: str, function_call: Any, arguments: Any) -> Any:
        raise RuntimeError("broken")

    unhooked = agent

    def with_hook(*args: Any, **rest: Any) -> Any:
        return unhooked(*args, tool_hooks=[fails], **rest)

    desk = Desk()
    monkeypatch.setitem(PATHS[path].__globals__, "agent", with_hook)
    PATHS[path](desk, Observer())
    assert desk.swaps == []
