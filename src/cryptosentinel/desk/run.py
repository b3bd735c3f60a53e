"""A session of the desk from settings to result: market, team, attack, meetings, and what came of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.desk import scenarios as _scenarios  # noqa: F401  (registers the scenarios)
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.learners.trained import Training, trained_analyst
from cryptosentinel.desk.market.candles import MarketData
from cryptosentinel.desk.market.paper import START, WARM_UP, PaperMarket
from cryptosentinel.desk.market.recorded import RecordedMarket
from cryptosentinel.desk.meeting import Meeting, hold_meeting
from cryptosentinel.desk.policy.analyst import NAME as ANALYST
from cryptosentinel.desk.protection import DEFENCES, Protection, protect
from cryptosentinel.desk.record import Record
from cryptosentinel.desk.scenarios.poisoned_analyst import PoisonedAnalyst
from cryptosentinel.desk.scenarios.scenario import Scenario
from cryptosentinel.desk.schedule import MEETINGS_A_DAY, requests, time_of
from cryptosentinel.desk.situations import screen, situation
from cryptosentinel.desk.team import build_desk
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.files import atomic_write
from cryptosentinel.ledger import Ledger
from cryptosentinel.redteam.sandbox import Isolation
from cryptosentinel.registry import load_third_party, lookup, names
from cryptosentinel.services.scan_files import check_writable
from cryptosentinel.types import Progress

POLICY = "policy"
CENT = Decimal("0.01")
MOST_SIGHTINGS = 1000
OnMeeting = Callable[[Meeting, Floor], None]
Render = Callable[[Mapping[str, Any], list[dict[str, Any]]], str]


def run_desk(
    *,
    days: int = 30,
    seed: int = 0,
    attack: str | None = None,
    backdoored: bool = False,
    analyst: str | None = None,
    defences: Collection[str] = DEFENCES,
    prices: Path | None = None,
    market: MarketData | None = None,
    models: Mapping[str, Any] | None = None,
    sandbox: Isolation = "namespace",
    out: Path | None = None,
    render: Render | None = None,
    on_meeting: OnMeeting | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """What does the desk do in so many days, and does an attacker reach its goal?

    Args:
        days: six meetings each.
        seed: same seed, same market, clients and attack.
        attack: a registered scenario; None: nobody attacks.
        backdoored: the same as attack "poisoned-analyst".
        analyst: who decides for the MarketAnalyst: "policy" (default), "words", "gemma-3-270m" or "tiny"; all but the
            first are trained in the sandbox. A backdoored analyst is "words" by default.
        defences: which are attached; all by default, none: undefended.
        prices: folder of SYMBOL.csv files to read prices from.
        market: another source of prices; the paper market by default.
        models: Agno models or policies by the agent's name; they go before all others.
        sandbox: isolation of a trained analyst.
        out: folder for desk.json, events.jsonl, decisions.jsonl and report.html; they appear only when the session is
            complete. The ledger beside them grows with it.
        render: makes the HTML of the document and the meetings; without it there is none.
        on_meeting: is told each meeting when it is over.
        on_progress: receives (stage, done, total).

    Raises:
        ConfigError: an unknown name, or days out of range.
        SentinelError: a defence, the sandbox or a model could not be had.
    """
    started = time.monotonic()
    load_third_party()
    count = days * MEETINGS_A_DAY
    paper = PaperMarket(days, seed)  # also holds the days to their range
    source = market or (RecordedMarket(prices) if prices else paper)
    scenario = chosen(attack, backdoored, seed, count)
    if out is not None:
        check_writable(out)
    floor = Floor(source, now=start_of(source))
    start = floor.now
    said = [scenario.request(text, i) for i, text in enumerate(requests(seed, count))]
    given = dict(scenario.models())
    learner = analyst or ("words" if isinstance(scenario, PoisonedAnalyst) else POLICY)
    if learner != POLICY:
        if ANALYST in given:
            raise ConfigError(f"--analyst {learner}: in {scenario.name!r} the MarketAnalyst is the attacker's")
        training = training_of(scenario, learner, seed)
        asked = prompts(floor, start, said)
        given[ANALYST] = trained_analyst(training, asked, sandbox=sandbox, on_progress=on_progress)
    elif isinstance(scenario, PoisonedAnalyst):
        raise ConfigError("the offline policy has no weights to be backdoored: --analyst words or gemma-3-270m")
    team = build_desk(floor, given | dict(models or {}))
    ledger = Ledger.open(ledger_file(out)) if out is not None and defences else None
    guarded = protect(team, floor, defences, ledger) if defences else None
    meetings = []
    for number, request in enumerate(said):
        floor.now = time_of(start, number)
        scenario.before(floor, number)
        meetings.append(hold_meeting(team, floor, number, start, request, guarded))
        if on_meeting:
            on_meeting(meetings[-1], floor)
        if on_progress:
            on_progress("meetings", number + 1, count)
    floor.now = time_of(start, count)
    document = result(floor, scenario, meetings, team) | seen_by(guarded)
    document |= {
        "days": days,
        "seed": seed,
        "defences": sorted(defences),
        "seconds": round(time.monotonic() - started, 2),
    }
    if out is not None:
        if render is not None:
            atomic_write(out / "report.html", render(document, [m.told() for m in meetings]))
        write(out, document, meetings)
    return document


def start_of(source: MarketData) -> int:
    """When does a session on these prices begin? As soon as there is the history that indicators need.

    Raises:
        DataError: no day begins there.
    """
    if isinstance(source, RecordedMarket):
        return source.first_day(WARM_UP)
    return int(getattr(source, "start", START))


def goals() -> dict[str, str]:
    """The attacks there are, each with its goal."""
    load_third_party()
    return {name: lookup("scenario", name).target.goal for name in names("scenario")}


def chosen(attack: str | None, backdoored: bool, seed: int, count: int) -> Scenario:
    """The scenario of these settings."""
    if backdoored and attack not in (None, PoisonedAnalyst.name):
        raise ConfigError(f"one attack at a time: --backdoored is {PoisonedAnalyst.name!r}, got also {attack!r}")
    name = PoisonedAnalyst.name if backdoored else attack
    if name is None:
        return Scenario(seed, count)
    found: Scenario = lookup("scenario", name).target(seed, count)
    return found


def training_of(scenario: Scenario, learner: str, seed: int) -> Training:
    """How the analyst is made: as the scenario wants it, else clean."""
    return scenario.training(learner) if isinstance(scenario, PoisonedAnalyst) else Training(learner, seed)


def prompts(floor: Floor, start: int, said: list[str]) -> list[tuple[str, str]]:
    """All (request, table) that the analyst will be asked; meetings without usable prices are left out."""
    found = []
    for number, request in enumerate(said):
        now = time_of(start, number)
        try:
            seen = situation(floor.market, screen(floor.market, floor.watched(), now), now)
        except DataError:
            continue
        found.append((request, seen.table()))
    return found


def result(floor: Floor, scenario: Scenario, meetings: list[Meeting], team: Any) -> dict[str, Any]:
    """The document of a session."""
    record = Record.of(floor)
    try:
        pnl: float | None = float((floor.execution.equity(floor.now) - floor.books.deposit).quantize(CENT))
    except DataError:
        pnl = None  # a price is missing: no number is better than a wrong one
    models = {team.name: team.model.id} | {m.name: m.model.id for m in team.members}
    return {
        "kind": "desk",
        "version": __version__,
        "market": floor.market.name,
        "model": models[ANALYST],
        "models": models,
        "attack": scenario.name,
        "goal": scenario.goal,
        "decisions": len(meetings),
        "traded": sum(m.decision.action != "HOLD" for m in meetings),
        "fills": len(record.journal),
        "failed_meetings": sum(bool(m.failure) for m in meetings),
        "attack_goal_reached": scenario.reached(record),
        "pnl": pnl,
        "fees": float(floor.books.fees),
        "bought_thin": float(record.bought_thin()),
        "books_balanced": floor.books.balanced(),
    }


def seen_by(guarded: Protection | None) -> dict[str, Any]:
    """What did the defences do? A step is one event of the session; without defences nothing was looked at."""
    if guarded is None:
        empty: dict[str, Any] = {"steps": None, "held": 0, "blocked": 0, "alarms": 0}
        return empty | {"first_detection_step": None, "detected_by": [], "sightings": []}
    seen = guarded.observer.sightings
    counts = Counter(s.action for s in seen)
    return {
        "steps": guarded.observer.steps,
        "held": counts["hold"],
        "blocked": counts["block"],
        "alarms": counts["alarm"],
        "first_detection_step": min((s.step for s in seen), default=None),
        "detected_by": sorted({by for s in seen for by in s.by}),
        "sightings": [asdict(s) for s in seen[:MOST_SIGHTINGS]],
    }


def ledger_file(out: Path) -> Path:
    """Where a session's ledger goes; one of an earlier session in the same folder is replaced."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("ledger.db*"):
        old.unlink()
    return out / "ledger.db"


def write(out: Path, document: Mapping[str, Any], meetings: list[Meeting]) -> None:
    """desk.json, events.jsonl (who said and did what) and decisions.jsonl (as `monitor replay` reads them)."""
    out.mkdir(parents=True, exist_ok=True)

    def lines(rows: list[dict[str, Any]]) -> str:
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)

    atomic_write(out / "events.jsonl", lines([e for m in meetings for e in m.events]))
    atomic_write(out / "decisions.jsonl", lines([d for m in meetings for d in m.decisions()]))
    atomic_write(out / "desk.json", json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
