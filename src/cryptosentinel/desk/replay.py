"""A session again, from its ledger alone: do the defences judge every step as they did, and do the books come out?

No model is asked. What was said, called and answered is in the ledger; market, team and defences are made anew from the
settings that it begins with. Each step is judged again, in order, and what was let through to the books or the limits
is carried out again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptosentinel.desk.market.candles import MarketData
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.market.recorded import RecordedMarket
from cryptosentinel.desk.outcome import DOCUMENT, LEDGER
from cryptosentinel.desk.run import COMMAND
from cryptosentinel.desk.scenarios.scenario import Scenario
from cryptosentinel.desk.schedule import time_of
from cryptosentinel.desk.session import Session
from cryptosentinel.desk.tools import documents, portfolio, risk, trading
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.ledger import Ledger, from_dict
from cryptosentinel.observer import Ruling
from cryptosentinel.services.ledger import opened
from cryptosentinel.types import Event

COMPARED = ("action", "because", "message", "stops", "scores")
MOST_TOLD = 100
Step = list[tuple[Event, Mapping[str, Any]]]  # each event with its verdict, empty where the ledger has none


def replay_desk(where: Path, market: MarketData | None = None) -> dict[str, Any]:
    """Does the session in this ledger come out the same when it is judged again?

    Args:
        where: what `desk run --out` wrote to, or the ledger itself.
        market: where prices came from, if it was neither the paper market nor a folder.

    Returns:
        `same`, and if it is false `reason` and `differences` (at most 100; `different` counts all). `end_checked`: was
        the ledger's end held against desk.json? Without that file a cut end may go unseen.

    Raises:
        ConfigError: no such ledger.
        DataError: it holds no session of the desk, or the prices are gone.
        LedgerError: it cannot be read.
    """
    ledger = opened(where / LEDGER if where.is_dir() else where)
    try:
        chain = ledger.verify()
        document: dict[str, Any] = {"kind": "desk-replay", "entries": chain.n, "head": chain.head, "different": 0}
        document |= {"steps": 0, "trades": 0, "pnl": None, "differences": [], "end_checked": False}
        if not chain.ok:
            return document | {"same": False, "reason": f"entry {chain.broken_seq} of the ledger: {chain.reason}"}
        if where.is_dir() and (noted := where / DOCUMENT).exists():
            if reason := other_end(noted, chain.head):
                return document | {"same": False, "reason": reason}
            document["end_checked"] = True
        runs = [entry.body for entry in ledger.entries("run") if entry.body.get("command") == COMMAND]
        if not runs or runs[0].get("phase") != "start":
            raise DataError(f"{where}: the ledger holds no session of the desk")
        again = Replay(begun(runs[0]["settings"], market))
        for step in steps(ledger):
            again.judge(step)
        return document | again.told(runs[-1])
    finally:
        ledger.close()


class Replay:
    """A session's steps, judged and carried out again."""

    def __init__(self, session: Session) -> None:
        """Nothing is judged yet."""
        floor = session.floor
        assert session.guarded is not None  # noqa: S101 - `begun` attaches at least one defence
        self.session, self.guarded, self.run_id = session, session.guarded, ""
        made = (trading.execute_swap, documents.write_document, risk.check_risk, portfolio.portfolio)
        self.tools = {tool.__name__: tool for tool in (make(floor) for make in made)}  # what reads or changes the books
        self.called: dict[tuple[str, str], deque[Mapping[str, Any]]] = {}
        self.steps = self.different = 0
        self.differences: list[dict[str, Any]] = []

    def judge(self, step: Step) -> None:
        """One step again: the same verdicts, and the same answers of the tools that it got?"""
        events = [event for event, _ in step]
        first = events[0]
        if first.run_id != self.run_id:
            if self.run_id:
                self.guarded.forget(self.run_id)
            self.run_id = first.run_id
            self.guarded.attached.begin(self.run_id)
        self.session.floor.now = int(first.time)
        for (event, recorded), ruling in zip(step, self.guarded.observer.observe_batch(events), strict=True):
            self.steps += 1
            mine = verdict(ruling)
            if not recorded:
                self._differs(event, "the ledger has no verdict on it")
            elif fields := [name for name in COMPARED if mine[name] != recorded.get(name)]:
                self._differs(event, f"{fields[0]} was {recorded.get(fields[0])!r}, is now {mine[fields[0]]!r}")
            tool = str(event.body.get("tool", ""))
            if tool in self.tools:
                self._carry_out(event, tool, ruling)

    def told(self, last: Mapping[str, Any]) -> dict[str, Any]:
        """What came of it, beside what the ledger says of the session's end."""
        floor = self.session.floor
        floor.now = time_of(floor.start, self.session.scenario.meetings)
        ended = last["outcome"] if last.get("phase") == "end" else None
        pnl, trades = self.session.worth(), len(floor.books.journal)
        reasons = [f"{self.different} differences"] if self.different else []
        if ended is None:
            reasons.append("the session has no end in the ledger")
        elif (ended["pnl"], ended["fills"]) != (pnl, trades):
            end = f"{ended['fills']} trades and {ended['pnl']} USDC"
            reasons.append(f"{end} were written down at the end, and now there are {trades} and {pnl}")
        return {
            "same": not reasons, "reason": "; ".join(reasons), "steps": self.steps, "different": self.different,
            "differences": self.differences, "trades": trades, "pnl": pnl,
        }  # fmt: skip

    def _carry_out(self, event: Event, tool: str, ruling: Ruling) -> None:
        """Calls that go through wait for their result; then they are made again, and the answers are compared."""
        key = (event.agent, tool)
        if event.kind == "tool_call" and ruling.goes_through:
            self.called.setdefault(key, deque()).append(event.body.get("arguments") or {})
        if event.kind == "tool_result" and self.called.get(key):  # a call that was held has a result, and was not made
            answer = str(event.body.get("result"))
            again = self.tools[tool](**self.called[key].popleft())
            if again != answer:
                self._differs(event, f"{tool} answered {answer[:200]!r}, and now {again[:200]!r}")

    def _differs(self, event: Event, how: str) -> None:
        self.different += 1
        if len(self.differences) < MOST_TOLD:
            about = {"event": event.id, "meeting": event.run_id, "agent": event.agent, "kind": event.kind}
            self.differences.append(about | {"step": self.steps, "how": how})


def begun(settings: Mapping[str, Any], market: MarketData | None) -> Session:
    """The session before its first meeting, with nothing of the attacker's: what he did is in the events.

    Raises:
        DataError: settings that no session has, or prices that are gone.
    """
    try:
        days, seed, prices, defences = (settings[key] for key in ("days", "seed", "prices", "defences"))
        source = market or (RecordedMarket(Path(prices)) if prices else PaperMarket(days, seed))
        return Session.open(source, Scenario(seed, meetings=settings["meetings"]), {}, defences)
    except (KeyError, TypeError, ConfigError) as error:
        raise DataError(f"the session cannot be begun again: {type(error).__name__}: {error}") from None


def steps(ledger: Ledger) -> Iterator[Step]:
    """What was judged at once, in order; of two verdicts on one event the later holds.

    Raises:
        DataError: an event without a step.
    """
    name, events, verdicts = "", dict[str, Event](), dict[str, Mapping[str, Any]]()

    def whole() -> Step:
        return [(event, verdicts.get(i, {})) for i, event in events.items()]

    for entry in ledger.entries():
        if entry.kind == "event":
            if "step" not in entry.body:
                raise DataError(f"entry {entry.seq} of the ledger does not say which step it belongs to")
            if entry.body["step"] != name and events:
                yield whole()
                events, verdicts = {}, {}
            name = entry.body["step"]
            event = from_dict(Event, entry.body)
            events[event.id] = event
        elif entry.kind == "verdict":
            verdicts[str(entry.body.get("event"))] = entry.body
    if events:
        yield whole()


def verdict(ruling: Ruling) -> dict[str, Any]:
    """What of a ruling is compared, as the ledger has it."""
    kept: dict[str, Any] = json.loads(json.dumps({name: getattr(ruling, name) for name in COMPARED}))
    return kept


def other_end(noted: Path, head: str) -> str:
    """Why is this not the end of the ledger that the session's document notes? Empty if it is.

    A document that cannot be read is a reason too: whoever cut the ledger could have broken it.
    """
    try:
        said = json.loads(noted.read_text("utf-8"))["ledger"]["head"]
    except OSError as error:
        return f"{noted.name} cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError):
        return f"{noted.name} cannot be read: it is no JSON"
    except (KeyError, TypeError):
        said = None
    if not isinstance(said, str):
        return f"{noted.name} does not say how the ledger ends"
    return "" if said == head else f"the ledger does not end with {said}, as {noted.name} says"
