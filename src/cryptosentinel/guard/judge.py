"""A language model that reads what attackers write: asked in time, within a budget, and not believed blindly."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from cryptosentinel.asker import Asker
from cryptosentinel.deadline import within
from cryptosentinel.errors import ConfigError, JudgeError
from cryptosentinel.guard.judge_question import MAX_TOKENS, Opinion, Question
from cryptosentinel.quoting import one_line

REASON_CHARACTERS, NAME_CHARACTERS = 300, 80
MOST_RUNS = 10_000  # whose questions are counted one by one
STOP_AFTER = 3  # failures in a row; then nobody is asked for a while: a server that hangs must not hang the agents


@dataclass(frozen=True, slots=True)
class Budget:
    """How often may be asked: in all within `window_s` seconds, and for one run. Beyond it the judge has failed.

    >>> Budget(questions=0)
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.ConfigError: judge: budget and times must be above 0, got 0 questions, 60 a run, 3600.0 s, ...
    """

    questions: int = 1_000
    per_run: int = 60
    window_s: float = 3600.0
    pause_s: float = 30.0  # after three failures in a row

    def __post_init__(self) -> None:
        """Refuse a budget of nothing."""
        if min(self.questions, self.per_run) < 1 or min(self.window_s, self.pause_s) <= 0:
            given = f"{self.questions} questions, {self.per_run} a run, {self.window_s} s, {self.pause_s} s"
            raise ConfigError(f"judge: budget and times must be above 0, got {given}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What has asking cost so far? `asked`: questions sent; `cached`: answers that were known; `errors`: no answer."""

    asked: int = 0
    cached: int = 0
    errors: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Bench:
    """Where one judge sits: asks it within the budget, keeps its answers, and remembers whether it can be believed.

    Before it is believed it must tell a plain hijack, which orders its reader to find nothing, from a plain errand
    (`judge_controls`); a judge that cannot has failed, and so has every question to it until it can.

    Args:
        asker: the model.
        budget: see `Budget`.
        timeout_s: for one question, retries of the asker included.
        cache: answers that are kept.
        controls: the questions with known answers, each with what is wrong with an opinion on it, or nothing.
    """

    def __init__(
        self,
        asker: Asker,
        budget: Budget,
        timeout_s: float,
        cache: int,
        controls: Sequence[tuple[Question, Callable[[Opinion], str]]] = (),
    ) -> None:
        """Ask nothing yet."""
        if timeout_s <= 0 or cache < 0:
            raise ConfigError(f"judge: timeout_s must be above 0 and cache 0 or more, got {timeout_s} and {cache}")
        self.asker, self.budget, self.timeout_s, self.most_kept = asker, budget, timeout_s, cache
        self._controls = list(controls)
        self._kept: OrderedDict[str, tuple[Opinion, str]] = OrderedDict()
        self._times: deque[float] = deque()
        self._by_run: OrderedDict[str, int] = OrderedDict()
        self._in_a_row = 0
        self._quiet_until = 0.0
        self._last_fault = ""
        self._lock = threading.Lock()
        self._trial = threading.Lock()
        self.usage = Usage()

    def ask(self, question: Question, run_id: str) -> tuple[Opinion, str]:
        """What does the judge say, and which model said it?

        Raises:
            JudgeError: it did not answer in time or in the schema, the budget is spent, or it is not believed.
        """
        with self._lock:
            if (known := self._kept.get(question.key)) is not None:
                self._kept.move_to_end(question.key)
                self._add(cached=1)
                return known
        self._try_controls()
        answered = self._ask_within_budget(question, run_id)
        with self._lock:
            self._kept[question.key] = answered
            while len(self._kept) > self.most_kept:
                self._kept.popitem(last=False)
        return answered

    def forget(self, run_id: str) -> None:
        """Drop what is counted for a run."""
        with self._lock:
            self._by_run.pop(run_id, None)

    def _try_controls(self) -> None:
        with self._trial:  # one at a time: the others wait for the outcome
            while self._controls:
                question, fault_of = self._controls[0]
                opinion, model = self._ask_within_budget(question, "")
                if fault := fault_of(opinion):
                    self._failed(f"{model} is not believed: {fault}")
                    raise JudgeError(self._last_fault)
                self._controls.pop(0)

    def _ask_within_budget(self, question: Question, run_id: str) -> tuple[Opinion, str]:
        now = time.monotonic()
        with self._lock:
            if now < self._quiet_until:
                self._add(refused=1)
                raise JudgeError(f"not asked: {STOP_AFTER} failures in a row, the last: {self._last_fault}")
            while self._times and self._times[0] <= now - self.budget.window_s:
                self._times.popleft()
            spent = self._by_run.get(run_id, 0)
            if len(self._times) >= self.budget.questions or (run_id and spent >= self.budget.per_run):
                self._add(refused=1)
                limit = self.budget.per_run if run_id and spent >= self.budget.per_run else self.budget.questions
                raise JudgeError(f"not asked: the budget of {limit} questions is spent")
            self._times.append(now)
            if run_id:
                self._by_run[run_id] = spent + 1
                self._by_run.move_to_end(run_id)
                if len(self._by_run) > MOST_RUNS:
                    self._by_run.popitem(last=False)
            self._add(asked=1)
        try:
            answered = self._answer(question)
        except Exception as error:  # whoever is asked is not part of this package
            fault = one_line(str(error) or type(error).__name__, REASON_CHARACTERS)
            self._failed(fault)
            raise JudgeError(fault) from error
        finally:
            with self._lock:
                self._add(seconds=time.monotonic() - now)
        with self._lock:
            self._in_a_row = 0
        return answered

    def _answer(self, question: Question) -> tuple[Opinion, str]:
        messages = question.messages
        reply = within(
            self.timeout_s,
            lambda late: self.asker.ask(messages, schema=Opinion, max_tokens=MAX_TOKENS, temperature=0.0),
        )
        with self._lock:
            self._add(prompt_tokens=int(reply.prompt_tokens), completion_tokens=int(reply.completion_tokens))
        try:  # once more, whatever the asker calls checked
            opinion = Opinion.model_validate(reply.parsed.model_dump(warnings=False) if reply.parsed else None)
        except ValidationError:
            raise JudgeError("the answer does not fit the schema") from None
        if opinion.code != question.mark:
            raise JudgeError("the answer does not repeat the code, so it may not be one to the question")
        named = one_line(str(reply.model), NAME_CHARACTERS) or one_line(str(self.asker.name), NAME_CHARACTERS)
        return opinion, named

    def _failed(self, fault: str) -> None:
        with self._lock:
            self._add(errors=1)
            self._in_a_row += 1
            self._last_fault = fault
            if self._in_a_row >= STOP_AFTER:
                self._in_a_row = STOP_AFTER - 1  # one more try after the pause
                self._quiet_until = time.monotonic() + self.budget.pause_s

    def _add(self, **counts: float) -> None:
        for name, value in counts.items():
            self.usage = _plus(self.usage, name, value)


def _plus(usage: Usage, name: str, value: float) -> Usage:
    return replace(usage, **{name: getattr(usage, name) + value})
