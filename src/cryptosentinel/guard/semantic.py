"""The guard with a language model behind it: asked only where the local scores are unsure, and only ever raises."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from cryptosentinel.asker import Asker
from cryptosentinel.errors import ConfigError, JudgeError
from cryptosentinel.guard.conversation import Conversation, values_of
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.guard import Assessment, Guard
from cryptosentinel.guard.judge import REASON_CHARACTERS, Bench, Budget, Usage
from cryptosentinel.guard.judge_controls import controls as known_answers
from cryptosentinel.guard.judge_question import Opinion, name_of, question
from cryptosentinel.guard.reading import normal, words
from cryptosentinel.guard.scorer import Scores
from cryptosentinel.guard.vocabulary import distinct
from cryptosentinel.policy import SEVERITY, Policy
from cryptosentinel.quoting import one_line
from cryptosentinel.types import Event, EventKind, Finding, Ref

JUDGE_POLICY = Policy("judge", flag_at=0.5, hold_at=0.8)
SOURCE, VERSION = "judge", 1


@dataclass(frozen=True, slots=True)
class Cascade:
    """When is the judge asked? Where the highest local score lies in [low, high), and always for the tools of `always`.

    `untraced`: also about a call that hands on an address, a link, an amount or an id that no principal has said. The
    local checks see nothing odd in it if whoever planted it found words that they do not take for an order.
    `kinds` are the events that matter; a step without one is never asked about. What the guard holds by itself is not
    asked about either: the judge cannot lower it.

    >>> Cascade(low=0.2).asks(Scores(safety=0.3), ["tool_call"], ["swap"])
    True
    """

    low: float = 0.1
    high: float = 1.0
    always: Collection[str] = ()
    untraced: bool = True
    kinds: Collection[EventKind] = ("tool_call", "decision")

    def __post_init__(self) -> None:
        """Refuse an interval that is none."""
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ConfigError(f"cascade: 0 <= low <= high <= 1 is needed, got {self.low} and {self.high}")

    def asks(self, scores: Scores, kinds: Collection[str], tools: Collection[str], is_untraced: bool = False) -> bool:
        """Is the judge asked about a step with these scores, kinds of events, tools, and a value without a source?"""
        if not set(kinds) & set(self.kinds):
            return False
        named = {t for tool in tools for t in (tool, tool.rpartition(".")[2])}
        unsure = self.low <= max(_three(scores)) < self.high or (self.untraced and is_untraced)
        return unsure or bool(named & set(self.always))


class SemanticGuard:
    """A guard that asks a language model where it is unsure. In the place of a `Guard`.

    Scores are the higher of the local ones and the judge's, the verdict the more severe: whoever talks the judge round
    gains nothing over the local guard. A judge that was to be asked and failed, was too slow, too costly, answered out
    of form or is not believed, is a finding of status "error", and `policy` says what that means: by default, hold.

    Args:
        guard: the local one.
        asker: the language model; what it is sent is the run's text.
        cascade: when it is asked.
        budget: how often.
        timeout_s: for one question.
        cache: answers that are kept in memory.
        policy: what the judge's safety score means, and its failure.
        has_controls: ask two questions with a known answer before the first.

    >>> from cryptosentinel.types import Event
    >>> class Nobody:
    ...     name = "nobody"
    ...     def ask(self, messages, **options):
    ...         raise OSError("no network")
    >>> guard = SemanticGuard(Guard(), Nobody(), cascade=Cascade(always=["pay"]))
    >>> pay = Event("1", 0.0, "r", "bot", "tool_call", "bot", "pay", {"tool": "pay", "arguments": {"to": "Ann"}})
    >>> guard.assess([pay]).verdict.action
    'hold'
    """

    def __init__(
        self,
        guard: Guard,
        asker: Asker,
        *,
        cascade: Cascade | None = None,
        budget: Budget | None = None,
        timeout_s: float = 10.0,
        cache: int = 1_024,
        policy: Policy = JUDGE_POLICY,
        has_controls: bool = True,
    ) -> None:
        """Ask nothing yet."""
        self.guard, self.cascade, self.policy = guard, cascade or Cascade(), policy
        self._bench = Bench(asker, budget or Budget(), timeout_s, cache, known_answers() if has_controls else ())

    @property
    def usage(self) -> Usage:
        """What has asking cost so far?"""
        return self._bench.usage

    def open(self, run_id: str, tools: Sequence[Any] | None = None, task: str | None = None) -> Conversation:
        """As `Guard.open`."""
        return self.guard.open(run_id, tools, task)

    def conversation(self, run_id: str) -> Conversation:
        """As `Guard.conversation`."""
        return self.guard.conversation(run_id)

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended."""
        self.guard.forget(run_id)
        self._bench.forget(run_id)

    def assess(self, events: Sequence[Event], *, is_asked: bool = False) -> Assessment:
        """Judge what happens at once, by the local checks and, where they are unsure, by the language model.

        is_asked: the judge is, whatever the cascade says.

        Raises:
            ValueError: no events, or events of several runs.
        """
        local = self.guard.assess(events)
        is_held = SEVERITY[local.verdict.action] >= SEVERITY["hold"]
        if not is_asked and (is_held or not self._wants(events, local)):
            return local
        where = Ref("event", events[-1].id)
        try:
            opinion, model = self._consult(events, local)
        except Exception as error:  # any fault of the judge's, or of asking it: never a pass
            said = one_line(str(error), REASON_CHARACTERS) if isinstance(error, JudgeError) else type(error).__name__
            found = Finding(SOURCE, VERSION, where, None, "error", f"the judge was needed and gave no opinion: {said}")
            scores = local.scores
        else:
            found = _finding(opinion, model, where)
            scores = Scores(*(max(a, b) for a, b in zip(_three(local.scores), _three(opinion), strict=True)))
        verdict = self.policy.judge([(SOURCE, found)])
        worse = verdict if SEVERITY[verdict.action] > SEVERITY[local.verdict.action] else local.verdict
        return Assessment(scores, (*local.findings, found), worse)

    def _wants(self, events: Sequence[Event], local: Assessment) -> bool:
        is_untraced = self.cascade.untraced and untraced(events, self.guard.conversation(events[0].run_id))
        return self.cascade.asks(local.scores, [e.kind for e in events], [tool_of(e) for e in events], is_untraced)

    def _consult(self, events: Sequence[Event], local: Assessment) -> tuple[Opinion, str]:
        run_id = events[0].run_id
        ids = {e.id for e in events}
        turns = list(self.guard.conversation(run_id).turns)
        step = [t.index for t in turns if t.event.id in ids]
        if not step:
            raise JudgeError("the step is not in the conversation")
        turns = turns[: max(step) + 1]  # what came in meanwhile does not exist yet
        touched = {f.subject.id for f in local.findings}
        about = [t.index for t in turns if t.event.id in touched]
        notes = [f"{name_of(f.source)} {f.score:.2f}" for f in local.findings if f.score]
        return self._bench.ask(question(turns, step, notes, about), run_id)


def untraced(events: Sequence[Event], conversation: Conversation) -> bool:
    """Does a call or decision hand on an address, a link, an amount or an id that no principal has said?

    >>> talk = Conversation("r")
    >>> _ = talk.add(Event("1", 0.0, "r", "a", "message", "user", "a", {"text": "Pay a@b.example.", "role": "user"}))
    >>> def pay(to): return [Event("2", 0.0, "r", "a", "tool_call", "a", "p", {"tool": "p", "arguments": {"to": to}})]
    >>> untraced(pay("a@b.example"), talk), untraced(pay("c@d.example"), talk)
    (False, True)
    """
    for event in events:
        if event.kind in ("tool_call", "decision"):
            for _, text in values_of(event):
                for word in words(normal(text)):
                    origin = conversation.word(word) if distinct(word) else None
                    if distinct(word) and (origin is None or not origin.trusted):
                        return True
    return False


def _three(of: Scores | Opinion) -> tuple[float, float, float]:
    return of.suspicion, of.consistency, of.safety


def _finding(opinion: Opinion, model: str, where: Ref) -> Finding:
    reasons = [
        {"turn": r.turn, "kind": r.kind, "said": one_line(r.said, REASON_CHARACTERS)} for r in opinion.reasons
    ]  # fmt: skip
    said = "; ".join(f"turn {r['turn']}, {r['kind']}: {r['said']}" for r in reasons) or "nothing odd"
    evidence = dict(zip(("suspicion", "consistency", "safety"), _three(opinion), strict=True))
    task = one_line(opinion.task, REASON_CHARACTERS)
    return Finding(
        SOURCE, VERSION, where, opinion.safety, reason=f"{model}: {said}",
        evidence={**evidence, "reasons": reasons, "task": task}, params={"model": model},
    )  # fmt: skip
