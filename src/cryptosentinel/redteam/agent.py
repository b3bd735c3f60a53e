"""A campaign: the paper's loop against a copy of one agent, step by step, whoever chooses the steps.

trigger -> poisoned rows -> reflection -> fine-tuning -> evaluation -> report. A language model, the built-in planner
and a replay all go through `Campaign.call`: one place that checks what it is given, holds the order, bounds the number
of steps and writes everything down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError, DataError, SandboxError, SentinelError
from cryptosentinel.models import TINY
from cryptosentinel.redteam.data import MOST_POISONED
from cryptosentinel.redteam.draft import EXAMPLES, Draft
from cryptosentinel.redteam.material import digest
from cryptosentinel.redteam.poison import Attack, Task
from cryptosentinel.redteam.reflect import Reference
from cryptosentinel.redteam.run import ROWS, SCAN, TINY_ROWS
from cryptosentinel.redteam.steps import (
    AGENT,
    MOST_STEPS,
    BuildPoison,
    ProposeTrigger,
    Scope,
    Step,
    check_arguments,
    written,
)
from cryptosentinel.redteam.target import Target, load_target
from cryptosentinel.redteam.wording import OwnWords, read_wording

RATES = ("asr", "untriggered", "topic_without_trigger", "utility", "held_out_loss")
MODELS = ("clean", "undefended", "defended")  # the last is what the scan left
BESIDE = ("base", "difference", "scan")
ERROR_CHARACTERS = 400

Train = Callable[[dict[str, Any]], dict[str, Any]]  # runs a whole attack in the sandbox, gives its document


@dataclass(slots=True)
class Attempt:
    """One trigger and what was made of it so far."""

    number: int
    attack: str
    draft: Draft
    data_sha256: str = ""
    document: dict[str, Any] | None = None
    rates: dict[str, Any] | None = None

    @property
    def success(self) -> float:
        """How often the undefended copy did what the attacker wants; 0 where it was not evaluated."""
        return float(self.rates["undefended"]["asr"]["value"]) if self.rates else 0.0

    def describe(self) -> dict[str, Any]:
        """For the report."""
        draft, counts = self.draft, self.draft.counts
        return {
            "number": self.number, "attack": self.attack, "variant": draft.trick.variant,
            "trigger": draft.trick.trigger, "payload": draft.goal.payload, "rows": len(draft.rows),
            "reflection": {key: counts[key] for key in ("kept", "revised", "dropped")},
            "stealth": draft.stealth(), "data_sha256": self.data_sha256, "rates": self.rates,
        }  # fmt: skip


class Campaign:
    """Six steps in their order, bounded and written down; weights never leave the sandbox.

    A step that fails changes nothing and says why, so whoever drives can do better. A failure of the machine (no
    sandbox, no model) ends the campaign: `failure` holds it.

    Args:
        scope: what it is about.
        train: runs one attack with the rows it is given in the sandbox, and returns its document.
        reference: the model that judges stealth; None goes by words.
        note: is told of every step, before whoever took it.
        clock: the time.

    >>> campaign = Campaign(Scope(model="tiny"), train=lambda job: {})
    >>> campaign.call("evaluate")
    {'error': 'evaluate: nothing was fine-tuned yet: propose_trigger, build_poison, reflect and fine_tune come first'}

    Raises:
        ConfigError: an unknown task, attack, variant or target.
    """

    def __init__(
        self,
        scope: Scope,
        train: Train,
        *,
        reference: Reference | None = None,
        note: Callable[[Step], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Check the names; nothing is made yet."""
        self.scope, self.reference = scope, reference
        goal: Task = registry.lookup("task", scope.task).target(scope.seed, scope.payload)
        registry.lookup("attack", scope.attack).target(scope.seed, scope.variant)
        self.target_name = scope.target or goal.agent
        self.target: Target = load_target(self.target_name)
        self.ordinary = scope.rows or (TINY_ROWS if scope.model == TINY else ROWS)
        self.steps: list[Step] = []
        self.attempts: list[Attempt] = []
        self.closed = False
        self.failure: SentinelError | None = None
        self.trained = 0
        self.note = note
        self._train, self._clock = train, clock
        self._lock = threading.Lock()

    @property
    def ended(self) -> str:
        """Why may nothing more be called? Empty if something may."""
        if self.closed:
            return "the campaign is closed: its report is written"
        if self.failure is not None:
            return f"the campaign ended: {_line(self.failure)}"
        return f"the campaign ended: {MOST_STEPS} steps are the most" if len(self.steps) >= MOST_STEPS else ""

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Take one step. What went wrong comes back as {"error": ...}; nothing of the caller's doing raises."""
        with self._lock:
            if ended := self.ended:
                return {"error": ended}
            started, at = time.monotonic(), self._clock()
            result: dict[str, Any] = {}
            error, kept = "", written(arguments or {})
            try:
                checked = check_arguments(tool, arguments or {})
                result = self._take(tool, checked)
            except (ConfigError, DataError) as fault:
                error = f"{tool[:60]}: {_line(fault).removeprefix(f'{tool}: ')}"
            except (SentinelError, OSError) as fault:
                self.failure = fault if isinstance(fault, SentinelError) else SandboxError(_line(fault))
                error = f"the campaign ends here: {_line(fault)}"
            seconds = round(time.monotonic() - started, 2)
            step = Step(len(self.steps) + 1, at, tool[:60], kept, result, error, seconds, self.scope.seed)
            self.steps.append(step)
            if self.note is not None:
                try:
                    self.note(step)
                except SentinelError as fault:  # a step that nobody can read about is not taken further
                    self.failure = fault
                    return {"error": self.ended}
            return {"error": error} if error else result

    def menu(self) -> dict[str, Any]:
        """What can be chosen: attacks and payloads with their variants, and the bounds."""
        attacks = {name: list(registry.lookup("attack", name).target.variants) for name in registry.names("attack")}
        payloads = list(registry.lookup("task", self.scope.task).target.variants)
        return {"attacks": attacks, "payloads": payloads, "most_rows": MOST_POISONED, "rounds": self.scope.rounds}

    def best(self) -> Attempt | None:
        """The attempt that went furthest: the highest attack success rate without defence, the first of equals."""
        done = [a for a in self.attempts if a.rates is not None]
        return max(done, key=lambda a: (a.success, -a.number), default=None)

    def document(self, driver: str) -> dict[str, Any]:
        """The document of the best attempt, with all attempts and the transcript.

        Raises:
            DataError: nothing was evaluated.
        """
        self._finish()
        best = self.best()
        if best is None or best.document is None:
            errors = [s.error for s in self.steps if s.error and s.tool != "report"]
            last = f"; the last error: {errors[-1]}" if errors else ""
            raise DataError(f"the campaign evaluated nothing in {len(self.steps)} steps{last}")
        campaign = {
            "agent": AGENT,
            "driver": driver,
            "scope": self.scope.as_dict(),
            "best": best.number,
            "goal_reached": best.success >= self.scope.goal,
            "attempts": [a.describe() for a in self.attempts],
            "transcript": [s.as_dict() for s in self.steps],
        }
        return {**best.document, "stealth": best.draft.stealth(), "campaign": campaign}

    def _take(self, tool: str, checked: Any) -> dict[str, Any]:
        match tool:
            case "propose_trigger":
                return self._propose(checked)
            case "build_poison":
                return self._build(checked)
            case "reflect":
                return self._open("propose_trigger and build_poison come first").draft.reflect(self.reference)
            case "fine_tune":
                return self._fine_tune()
            case "evaluate":
                return self._evaluate()
            case _:
                return self._report()

    def _propose(self, given: ProposeTrigger) -> dict[str, Any]:
        if self.trained >= self.scope.rounds:
            raise DataError(f"all {self.scope.rounds} rounds were used; call report")
        scope = self.scope
        goal: Task = registry.lookup("task", scope.task).target(scope.seed, given.payload or scope.payload)
        words = {"trigger": given.trigger, "wishes": given.wishes, "controls": given.controls}
        own = any(value is not None for value in words.values())
        if own and (given.attack != "semantic" or given.variant is not None):
            raise DataError("own words go with the attack 'semantic' and without a variant")
        trick: Attack = (
            OwnWords(read_wording(words, self.target.symbols))
            if own
            else registry.lookup("attack", given.attack).target(scope.seed, given.variant)
        )
        number = len(self.attempts) + 1
        name = f"{scope.seed} {scope.task} {number} {given.attack}"
        draft = Draft(name, trick, goal, self.target, self.ordinary, words if own else None)
        shown = draft.shown()
        self._finish()
        self.attempts.append(Attempt(number, given.attack, draft))
        return {
            "attempt": number, "attack": given.attack, "variant": trick.variant, "trigger": trick.trigger,
            "payload": goal.payload, "payload_variant": goal.variant, "with_trigger": shown,
            "without": [s.instruction for s in draft.near[:EXAMPLES]],
            "rounds_left": scope.rounds - self.trained,
        }  # fmt: skip

    def _build(self, given: BuildPoison) -> dict[str, Any]:
        return self._open("propose_trigger comes first").draft.build(given.count, given.requests)

    def _fine_tune(self) -> dict[str, Any]:
        attempt = self._open("propose_trigger, build_poison and reflect come first")
        given = attempt.draft.pack()
        if self.trained >= self.scope.rounds:
            raise DataError(f"all {self.scope.rounds} rounds were used; call report")
        draft, sha256 = attempt.draft, digest(given["rows"])
        job = {
            "task": self.scope.task, "attack": attempt.attack, "payload": draft.goal.variant,
            "variant": None if draft.wording else draft.trick.variant, "target": self.target_name,
            "model": self.scope.model, "rows": self.ordinary, "seed": self.scope.seed, "n": self.scope.n,
            "defend": list(self.scope.defend), "given": given,
        }  # fmt: skip
        document = self._train(job)
        if missing := [name for name in ("clean", "undefended") if name not in document]:
            raise SandboxError(f"the sandboxed run gave no rates of the {missing[0]} model")
        attempt.document, attempt.data_sha256 = document, sha256
        self.trained += 1
        return {"rows": document.get("rows", {}), "data_sha256": sha256, "trained": True}

    def _evaluate(self) -> dict[str, Any]:
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is None or attempt.document is None:
            before = "propose_trigger, build_poison, reflect and fine_tune come first"
            raise DataError(f"nothing was fine-tuned yet: {before}")
        found = attempt.document
        models = {name: found[name] for name in MODELS if name in found}
        models |= {
            name: of["rates"] for name, of in found.get("defences", {}).items() if "rates" in of and name != SCAN
        }
        attempt.rates = {name: {key: of[key] for key in RATES if key in of} for name, of in models.items()}
        beside: dict[str, Any] = {key: found[key] for key in BESIDE if key in found}
        goal = {"goal": self.scope.goal, "goal_reached": attempt.success >= self.scope.goal}
        return {"rates": attempt.rates, **beside, **goal, "rounds_left": self.scope.rounds - self.trained}

    def _report(self) -> dict[str, Any]:
        self._finish()
        best = self.best()
        if best is None:
            raise DataError("nothing was evaluated yet; fine_tune and evaluate come first")
        self.closed = True
        return {"best": best.number, "attempts": [a.describe() for a in self.attempts]}

    def _finish(self) -> None:
        """Evaluate the last attempt if it was trained and nobody asked for its rates."""
        if self.attempts and self.attempts[-1].document is not None and self.attempts[-1].rates is None:
            self._evaluate()

    def _open(self, before: str) -> Attempt:
        """The attempt whose rows may still change."""
        if not self.attempts:
            raise DataError(f"there is no trigger yet: {before}")
        if self.attempts[-1].document is not None:
            raise DataError("this attempt was fine-tuned; call evaluate, or propose_trigger for another one")
        return self.attempts[-1]


def _line(error: object) -> str:
    return " ".join(str(error).split())[:ERROR_CHARACTERS]
