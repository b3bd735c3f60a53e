"""A session of the desk from settings to result: market, attack, models, meetings, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.desk import scenarios as _scenarios  # noqa: F401  (registers the scenarios)
from cryptosentinel.desk.floor import Floor
from cryptosentinel.desk.learners.inside import WORDS
from cryptosentinel.desk.learners.trained import Training, trained_analyst
from cryptosentinel.desk.market.candles import MarketData
from cryptosentinel.desk.market.paper import PaperMarket
from cryptosentinel.desk.market.recorded import RecordedMarket
from cryptosentinel.desk.outcome import LEDGER, beside, new_ledger, outcome, seen_by, write
from cryptosentinel.desk.policy.analyst import NAME as ANALYST
from cryptosentinel.desk.protection import DEFENCES, require_known
from cryptosentinel.desk.scenarios.poisoned_analyst import PoisonedAnalyst
from cryptosentinel.desk.scenarios.scenario import Scenario
from cryptosentinel.desk.schedule import MEETINGS_A_DAY, time_of
from cryptosentinel.desk.session import OnMeeting, Session, spoken, start_of
from cryptosentinel.desk.situations import screen, situation
from cryptosentinel.errors import ConfigError, DataError, LedgerError
from cryptosentinel.files import atomic_write, require_folder
from cryptosentinel.ledger import Ledger
from cryptosentinel.redteam.sandbox import Isolation
from cryptosentinel.registry import load_third_party, lookup, names
from cryptosentinel.types import Progress

COMMAND = "desk run"
POLICY = "policy"
ENDED = ("decisions", "fills", "pnl", "fees", "held", "blocked", "alarms", "attack_goal_reached", "books_balanced")
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
    compare: bool = False,
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
        compare: play the session a second time without defences, for "undefended" in the document; models that were
            given are asked again.
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
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}")
    count = days * MEETINGS_A_DAY
    paper = PaperMarket(days, seed)  # also holds the days to their range
    source = market or (RecordedMarket(prices) if prices else paper)
    scenario = chosen(attack, backdoored, seed, count)
    if out is not None:
        require_folder(out)
    if defences:
        require_known(defences)
    given = learnt(source, scenario, analyst, sandbox, on_progress) | dict(models or {})
    settings = {"days": days, "seed": seed, "attack": scenario.name, "defences": sorted(set(defences))}
    where = new_ledger(out) if out is not None else None
    ledger = Ledger.open(where) if where and defences else None
    if ledger is not None:
        begins = settings | {"meetings": count, "prices": named(prices), "market": source.name}
        ledger.append("run", {"command": COMMAND, "phase": "start", "version": __version__, "settings": begins})

    def played(stage: str, defences: Collection[str], ledger: Ledger | None, told: OnMeeting | None) -> Session:
        session = Session.open(source, chosen(attack, backdoored, seed, count), given, defences, ledger)
        session.play(told, (lambda done, total: on_progress(stage, done, total)) if on_progress else None)
        return session

    session = played("meetings", defences, ledger, on_meeting)
    bare = played("meetings without defences", (), None, None) if compare and defences else None
    document = outcome(session) | seen_by(session.guarded) | settings | {"undefended": beside(bare)}
    document["ledger"] = closed(ledger, document) if ledger is not None else None
    document["seconds"] = round(time.monotonic() - started, 2)
    if out is not None:
        if render is not None:
            atomic_write(out / "report.html", render(document, [m.told() for m in session.meetings]))
        write(out, document, session.meetings)
    return document


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


def learnt(
    market: MarketData,
    scenario: Scenario,
    analyst: str | None,
    sandbox: Isolation,
    on_progress: Progress | None,
) -> dict[str, Any]:
    """The trained MarketAnalyst, if one is wanted, by its name.

    Raises:
        ConfigError: the scenario brings its own, or wants one that has weights.
    """
    learner = analyst or (WORDS if isinstance(scenario, PoisonedAnalyst) else POLICY)
    if learner == POLICY:
        if isinstance(scenario, PoisonedAnalyst):
            raise ConfigError("the offline policy has no weights to be backdoored: --analyst words or gemma-3-270m")
        return {}
    if ANALYST in scenario.models():
        raise ConfigError(f"--analyst {learner}: in {scenario.name!r} the MarketAnalyst is the attacker's")
    training = Training(learner, scenario.seed)
    if isinstance(scenario, PoisonedAnalyst):
        training = scenario.training(learner)
    asked = prompts(Floor(market, now=start_of(market)), spoken(scenario))
    return {ANALYST: trained_analyst(training, asked, sandbox=sandbox, on_progress=on_progress)}


def prompts(floor: Floor, said: list[str]) -> list[tuple[str, str]]:
    """All (request, table) that the analyst will be asked; meetings without usable prices are left out."""
    found = []
    for number, request in enumerate(said):
        now = time_of(floor.start, number)
        try:
            seen = situation(floor.market, screen(floor.market, floor.watched(), now), now)
        except DataError:
            continue
        found.append((request, seen.table()))
    return found


def named(prices: Path | None) -> str | None:
    """Where prices were read from, for whoever replays the session."""
    return str(prices.resolve()) if prices else None


def closed(ledger: Ledger, document: Mapping[str, Any]) -> dict[str, Any]:
    """The session's end, written down; `head` is what the ledger ends with, so that a cut end shows.

    A ledger that cannot be written has kept every step from happening since; the document says so.
    """
    ended = {key: document[key] for key in ENDED}
    try:
        entry = ledger.append("run", {"command": COMMAND, "phase": "end", "outcome": ended})
    except LedgerError as error:
        return {"file": LEDGER, "head": None, "error": str(error)}
    return {"file": LEDGER, "head": entry.hash, "error": None}
