"""A campaign of the RedTeamAgent from settings to report: driven, in the sandbox, with its transcript in the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptosentinel import __version__
from cryptosentinel.asker import Asker as Judge
from cryptosentinel.config import load_settings
from cryptosentinel.errors import ConfigError, DataError, JudgeError
from cryptosentinel.files import atomic_write, require_folder
from cryptosentinel.ledger import Ledger
from cryptosentinel.llm import LocalReference
from cryptosentinel.models import TINY
from cryptosentinel.redteam.agent import Campaign
from cryptosentinel.redteam.planner import NAME as PLANNER
from cryptosentinel.redteam.rating import rate
from cryptosentinel.redteam.reflect import Reference
from cryptosentinel.redteam.steps import Scope
from cryptosentinel.redteam.transcript import Recorded, Transcript, replay
from cryptosentinel.registry import load_third_party, lookup
from cryptosentinel.services.redteam import LEAST_ROWS, prepared, red_team
from cryptosentinel.types import Progress

Render = Callable[[Mapping[str, Any]], str]
TRANSCRIPT = "transcript.jsonl"
ROUNDS = "groups"  # the stage of `GroupBoard` that counts them: each has bars of its own


def run_campaign(
    scope: Scope,
    drive: Callable[[Campaign], None],
    *,
    driver: str,
    ledger: Ledger | None = None,
    judge: Judge | None = None,
    out: Path | None = None,
    render: Render | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """How far does the RedTeamAgent get with a copy of this agent?

    Args:
        scope: what it is about and may do.
        drive: takes the steps: the planner, or a language model through the toolkit. Where it stops without a report,
            the report is made of what was evaluated until then.
        driver: who that is, for the transcript.
        ledger: where the transcript goes, step by step.
        judge: a language model that also rates the stealth of the best attempt's requests.
        out: folder for report.json, report.html and transcript.jsonl.
        render: makes the HTML; without it there is none.
        on_progress: receives (stage, done, total).

    Returns:
        The document of the best attempt as `red_team` gives it, with "stealth" and "campaign".

    Raises:
        ConfigError: an unknown name, or a value out of range.
        DataError: the planner found no trigger whose rows pass reflection.
        JudgeError: the driving model stopped before anything was evaluated.
        MissingExtraError, ModelIntegrityError, SandboxError, LedgerError, OSError: it was not possible.
    """
    started = time.monotonic()
    if out is not None:
        require_folder(out)
    campaign = prepare(scope, on_progress)
    transcript = Transcript(ledger, scope, driver, __version__, time.time()) if ledger is not None else None
    if transcript is not None:
        campaign.note = transcript.note
    outcome: dict[str, Any] = {"status": "interrupted"}
    try:
        document = _driven(campaign, drive, driver)
        best = campaign.best()
        if judge is not None and best is not None:
            document["stealth"]["rating"] = rate(judge, best.draft.rows, best.draft.clean[: best.draft.ordinary])
        document["seconds"] = round(time.monotonic() - started, 2)
        document["campaign"]["run"] = transcript.run if transcript else ""
        outcome = {"status": "done", "goal_reached": document["campaign"]["goal_reached"], "best": best and best.number}
    except Exception as error:
        outcome = {"status": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        raise
    finally:
        if transcript is not None:
            transcript.end({**outcome, "steps": len(campaign.steps), "rounds": campaign.trained}, time.time())
    if out is not None:
        write(document, out, render)
    return document


def replay_campaign(
    recorded: Recorded, *, ledger: Ledger | None = None, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Do the recorded steps give the same rows and rates again, without whoever chose them?

    Raises:
        DataError: no step of it was done.
        SentinelError, OSError: as `run_campaign`.
    """
    campaign = prepare(recorded.scope, on_progress)
    transcript = None
    if ledger is not None:
        transcript = Transcript(ledger, recorded.scope, "replay", __version__, time.time(), recorded.run)
        campaign.note = transcript.note
    outcome: dict[str, Any] = {"status": "interrupted"}
    try:
        found = replay(recorded, campaign)
        if campaign.failure is not None:
            raise campaign.failure
        outcome = {"status": "done", "same": found["same"]}
    except Exception as error:
        outcome = {"status": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
        raise
    finally:
        if transcript is not None:
            transcript.end({**outcome, "steps": len(campaign.steps), "rounds": campaign.trained}, time.time())
    recorded_by = {"version": recorded.version, "driver": recorded.driver}
    return {"kind": "replay", **found, "recorded": recorded_by, "version": __version__}


def prepare(scope: Scope, on_progress: Progress | None = None) -> Campaign:
    """A campaign whose model is ready, whose training runs in the sandbox, and whose reflection has its reference.

    Raises:
        ConfigError: an unknown name, or a value out of range.
        MissingExtraError, ModelIntegrityError, OSError: as `load_base`.
    """
    load_third_party()
    if scope.rows is not None and scope.rows < LEAST_ROWS:
        raise ConfigError(f"rows must be at least {LEAST_ROWS}, got {scope.rows}")
    if scope.sandbox not in ("namespace", "process"):
        raise ConfigError(f"unknown isolation {scope.sandbox!r} (known: namespace, process)")
    for name in scope.defend:
        lookup("defence", name)
    done = 0

    def train(job: dict[str, Any]) -> dict[str, Any]:
        nonlocal done
        if on_progress is not None:
            on_progress(ROUNDS, done, scope.rounds)
        document = red_team(**job, sandbox=scope.sandbox, on_progress=on_progress)  # type: ignore[arg-type]
        done += 1
        return document

    campaign = Campaign(scope, train)  # the names first: a wrong one is said before anything is loaded
    prepared(scope.model, on_progress)
    campaign.reference = reference(scope)
    return campaign


def reference(scope: Scope) -> Reference | None:
    """The model that judges stealth; None with the tiny model, which knows nothing, or where none is wanted."""
    name = scope.model if scope.reflection == "auto" else scope.reflection
    return None if name in ("none", TINY) else LocalReference(prepared(name))


def open_ledger(where: str | None = None, *, create: bool = True) -> Ledger:
    """The named ledger, or the configured one.

    Raises:
        ConfigError: there is none, and none may be created.
        LedgerError: it cannot be opened.
    """
    return Ledger.open(where or load_settings().ledger_url, create)


def write(document: Mapping[str, Any], out: Path, render: Render | None) -> None:
    """Write report.html, transcript.jsonl and, last, report.json; each appears only when it is complete."""
    if render is not None:
        atomic_write(out / "report.html", render(document))
    _write_steps(document["campaign"]["transcript"], out)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_write(out / "report.json", text.encode("utf-8", "replace"))


def write_transcript(recorded: Recorded, out: Path, render: Render) -> None:
    """Write transcript.jsonl and report.html of a recorded campaign; each appears only when it is complete."""
    document = recorded.as_dict()
    _write_steps(document["steps"], out)
    atomic_write(out / "report.html", render(document))


def _write_steps(steps: Iterable[Mapping[str, Any]], out: Path) -> None:
    atomic_write(out / TRANSCRIPT, "".join(f"{json.dumps(step)}\n" for step in steps))


def _driven(campaign: Campaign, drive: Callable[[Campaign], None], driver: str) -> dict[str, Any]:
    """Drive, and see to it that there is a report."""
    stopped = ""
    try:
        drive(campaign)
    except JudgeError as error:  # the driver went away; what was evaluated until then is a result all the same
        stopped = f"{error}; "
    if campaign.failure is not None:
        raise campaign.failure
    if not campaign.closed:
        campaign.call("report")
    try:
        return campaign.document(driver)
    except DataError as error:
        if driver == PLANNER:
            raise
        raise JudgeError(f"{stopped}{error}") from None
