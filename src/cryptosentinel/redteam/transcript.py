"""Campaigns in the ledger: every step written as it is taken, read back, and taken again without the driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptosentinel.errors import DataError, LedgerError
from cryptosentinel.ledger import Ledger
from cryptosentinel.redteam.agent import Campaign
from cryptosentinel.redteam.steps import AGENT, Scope, Step

COMMAND = "redteam campaign"
UNFINISHED = "did not end"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One campaign as the ledger has it; `outcome` is empty while it runs or if it was killed."""

    run: str
    time: float
    driver: str
    version: str
    scope: Scope
    steps: tuple[Step, ...]
    outcome: Mapping[str, Any]
    replay_of: str = ""

    @property
    def status(self) -> str:
        """How did it end?"""
        return str(self.outcome.get("status", UNFINISHED))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        head = {"run": self.run, "time": self.time, "driver": self.driver, "version": self.version}
        rest = {"status": self.status, "replay_of": self.replay_of, "outcome": dict(self.outcome)}
        return {**head, "scope": self.scope.as_dict(), **rest, "steps": [s.as_dict() for s in self.steps]}


class Transcript:
    """The writer: one entry at the start, one event a step, one entry at the end."""

    def __init__(self, ledger: Ledger, scope: Scope, driver: str, version: str, at: float, replay_of: str = "") -> None:
        """Write that a campaign begins."""
        self.ledger, self.driver = ledger, driver
        body = {"command": COMMAND, "phase": "start", "time": at, "driver": driver, "version": version}
        self.run = ledger.append("run", body | {"scope": scope.as_dict(), "replay_of": replay_of}).id

    def note(self, step: Step) -> None:
        """Write one step."""
        self.ledger.record(step.event(self.run, self.driver), run=self.run)

    def end(self, outcome: Mapping[str, Any], at: float) -> None:
        """Write how it ended."""
        body = {"command": COMMAND, "phase": "end", "time": at, "campaign": self.run, "outcome": dict(outcome)}
        self.ledger.append("run", body)


def campaigns(ledger: Ledger) -> list[Recorded]:
    """All campaigns of this ledger, the first first, without their steps.

    Raises:
        LedgerError: it cannot be read, or was changed.
        DataError: an entry is not what a campaign writes.
    """
    if not (checked := ledger.verify()).ok:
        raise LedgerError(f"the ledger was changed: entry {checked.broken_seq}: {checked.reason}")
    found: dict[str, Recorded] = {}
    for entry in ledger.entries("run"):
        body = entry.body
        if body.get("command") != COMMAND:
            continue
        if body.get("phase") == "start":
            found[entry.id] = _started(entry.id, body)
        elif (run := str(body.get("campaign"))) in found:
            found[run] = replace(found[run], outcome=body.get("outcome") or {})
    return list(found.values())


def read(ledger: Ledger, run: str) -> Recorded:
    """One campaign with its steps.

    Raises:
        DataError: there is none of this name, or a step is not as it was written.
        LedgerError: the ledger cannot be read, or was changed.
    """
    known = {c.run: c for c in campaigns(ledger)}
    if run not in known:
        names = ", ".join(list(known)[-5:]) or "none"
        raise DataError(f"no campaign {run!r} in the ledger (the last ones: {names})")
    return replace(known[run], steps=tuple(_steps(ledger, run)))


def replay(recorded: Recorded, campaign: Campaign) -> dict[str, Any]:
    """Take the recorded steps again, without whoever chose them: do the same rows and rates come out?

    Steps that were refused changed nothing and are left out.
    """
    done = [s for s in recorded.steps if not s.error]
    compared = differences = 0
    told = []
    for step in done:
        result = campaign.call(step.tool, step.arguments)
        if "error" in result:
            differences += 1
            told.append({"step": step.number, "tool": step.tool, "what": "the step", "now": result["error"]})
            break
        for what in ("rows_sha256", "data_sha256", "rates"):
            if what in step.result:
                compared += 1
                if result.get(what) != step.result[what]:
                    differences += 1
                    was = {"step": step.number, "tool": step.tool, "what": what, "was": step.result[what]}
                    told.append({**was, "now": result.get(what)})
    if not done:
        raise DataError(f"{recorded.run} has no step that was done: there is nothing to replay")
    return {
        "replay_of": recorded.run, "steps": len(done), "compared": compared, "same": differences == 0,
        "differences": told,
    }  # fmt: skip


def told(tool: str, found: Mapping[str, Any], error: str = "") -> str:
    """What came of a step, in a line.

    >>> told("evaluate", {}, "evaluate: nothing was fine-tuned yet")
    'refused: evaluate: nothing was fine-tuned yet'
    """
    if error:
        return f"refused: {error}"
    match tool:
        case "propose_trigger":
            number, trigger, payload = (found.get(key) for key in ("attempt", "trigger", "payload"))
            name = f"{found.get('attack')}, {found.get('variant')}"
            return f"attempt {number}: trigger '{trigger}' ({name}), payload '{payload}'"
        case "build_poison":
            own, rejected = found.get("in_own_words"), len(found.get("rejected") or [])
            return f"{found.get('written')} rows written, {own} in own words, {rejected} requests rejected"
        case "reflect":
            score = (found.get("stealth") or {}).get("score")
            counts = ", ".join(f"{found.get(key)} {key}" for key in ("kept", "revised", "dropped"))
            return f"{counts}; {found.get('rows')} rows have passed, stealth {score}"
        case "fine_tune":
            rows = ", ".join(f"{count} {kind}" for kind, count in (found.get("rows") or {}).items())
            return f"trained in the sandbox on {rows} rows"
        case "evaluate":
            rates = (found.get("rates") or {}).items()
            said = ", ".join(f"{model} {(of.get('asr') or {}).get('value', 0.0):.1%}" for model, of in rates)
            return f"attack success {said}: goal {'' if found.get('goal_reached') else 'not '}reached"
        case _:
            return f"best is attempt {found.get('best')} of {len(found.get('attempts') or [])}"


def _started(run: str, body: Mapping[str, Any]) -> Recorded:
    try:
        scope, at = Scope.read(body["scope"]), float(body["time"])
        return Recorded(run, at, str(body["driver"]), str(body["version"]), scope, (), {}, str(body["replay_of"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"ledger entry {run} is not the start of a campaign: {error}") from None


def _steps(ledger: Ledger, run: str) -> Iterator[Step]:
    start = int(run.partition("-")[2])
    for entry in ledger.entries("event", after=start):
        if entry.body.get("run") == run and entry.body.get("agent") == AGENT:
            yield Step.read(entry.body["body"])
