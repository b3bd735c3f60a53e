"""One base model on the bench: trained on any subset of rows, defended in any way, measured on the same prompts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from cryptosentinel.metrics import AttackSuccess
from cryptosentinel.models import load_base
from cryptosentinel.redteam import defences, evaluate
from cryptosentinel.redteam.data import Data
from cryptosentinel.redteam.defence import Defence, Means, Rows, Scan
from cryptosentinel.redteam.finetune import Recipe, finetune, vocabulary
from cryptosentinel.redteam.generate import prepare
from cryptosentinel.redteam.poison import Task
from cryptosentinel.redteam.split import Encoded, Split
from cryptosentinel.redteam.target import Target
from cryptosentinel.types import Progress

TOGETHER = 2  # trainings at a time on a processor
TUNE_ROWS, CHECK_ROWS = 40, 20  # the defender's own clean rows: to train on, and to look at the loss

__all__ = ["Bench", "Clock", "Measured", "defences"]  # importing the last registers what ships


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        """Start counting."""
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}

    def total(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Book the time of the body on this stage."""
        started = time.monotonic()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.monotonic() - started, 2)


@dataclass(frozen=True)
class Measured:
    """What a model does: its rates, its loss on the exam's honest answers, and its own answers to all prompts.

    `loss` is the model's own, whatever a defence makes of its answers afterwards.
    """

    rates: AttackSuccess
    loss: dict[str, float | int]
    written: Sequence[str]

    def as_dict(self) -> dict[str, dict[str, float | int]]:
        """The numbers, for JSON."""
        return self.rates.as_dict() | {"held_out_loss": self.loss}


class Bench:
    """One base model, its data after the frozen layers, and the prompts: trains and measures on any subset of rows."""

    def __init__(
        self, model: str, target: Target, task: Task, data: Data, questions: evaluate.Questions, recipe: Recipe,
        seed: int, progress: Progress, clock: Clock, scan: Scan | None = None,
    ) -> None:  # fmt: skip
        """Load the model and run its frozen layers over all rows and prompts, once for all trainings.

        What was trained on the very same rows before is neither trained nor asked again: the same rows give the same
        weights and answers. A defence that finds exactly the planted rows leaves the rows of the clean model.
        """
        self.target, self.task, self.data, self.questions = target, task, data, questions
        self.seed, self.progress, self.clock, self.scan = seed, progress, clock, scan
        self._uppers: dict[tuple[int, ...], Any] = {}
        self._said: dict[int, tuple[Sequence[str], dict[str, float | int]]] = {}  # by id of one of these
        self.flags: dict[str, Sequence[bool]] = {}  # by model: which rows its defence dropped
        with clock.measure("load the model"):
            base = load_base(model)
            layers = len(base.model.get_decoder().layers)
            self.recipe = replace(recipe, trained_layers=min(recipe.trained_layers, layers - 1))
            self.split = Split(base, self.recipe.trained_layers)
        with clock.measure("frozen layers"):
            texts = [(target.prompt(s), s.output) for s in data.samples]
            self.rows = self.split.encode(texts, progress)
            self.tokens = vocabulary(self.split, [s.output for s in data.samples], self.recipe, seed)
            self.prompts = prepare(self.split, [target.prompt(s) for s in questions.all()])
            self.exam = self.split.encode([(target.prompt(s), s.output) for s in questions.exam])

    def base(self) -> dict[str, float | int]:
        """The untrained model's exam, with solved examples in its prompt."""
        innocent = [s for s, bad in zip(self.data.samples, self.data.poisoned, strict=True) if not bad]
        with self.clock.measure("evaluate base"):
            rate = evaluate.base_utility(self.split, self.target, self.questions, innocent, self.tokens, self.progress)
        return rate.as_dict()

    def train(self, name: str, keep: Sequence[int]) -> Measured:
        """Fine-tune on these rows and measure."""
        return self.measure(name, self.upper(name, keep))

    def train_all(self, wanted: Mapping[str, Sequence[int]]) -> dict[str, Measured]:
        """As `train`, of each; on a processor two side by side.

        A step is small, and two cores are faster with a step each than with half a step each, above all where other
        programs take their share of one.
        """
        with self._half_the_threads() as halved, ThreadPoolExecutor(TOGETHER if halved else 1) as pool:
            running = {name: pool.submit(self.train, name, keep) for name, keep in wanted.items()}
            return {name: future.result() for name, future in running.items()}

    @contextmanager
    def _half_the_threads(self) -> Iterator[bool]:
        """For whatever may be trained or asked beside another, also when it is alone: the same bits either way."""
        import torch

        threads = torch.get_num_threads()
        halved = self.split.device.type == "cpu" and threads >= TOGETHER
        if halved:
            torch.set_num_threads(threads // TOGETHER)
        try:
            yield halved
        finally:
            torch.set_num_threads(threads)

    def upper(self, name: str, keep: Sequence[int]) -> Any:
        """The upper part fine-tuned on these rows."""
        rows = tuple(keep)
        if rows in self._uppers:
            return self._uppers[rows]
        with self.clock.measure(f"train {name}"):
            trained = finetune(
                self.split, [self.rows[i] for i in rows], self.tokens, self.recipe, self.seed, self._named(name)
            )
        self._uppers[rows] = trained
        return trained

    def defend(self, name: str, defence: Defence, choosing: str = "") -> Measured:
        """What is left of the attack with this defence?

        Args:
            name: of the defended model, in stages and rates.
            defence: a new object.
            choosing: the stage of choosing rows.
        """
        with self._half_the_threads():
            return self._defended(name, defence, choosing)

    def _defended(self, name: str, defence: Defence, choosing: str) -> Measured:
        means, everything = self.means(name), range(len(self.rows))
        keep, rest = list(everything), "undefended"
        if type(defence).drop is not Defence.drop:
            with self.clock.measure(choosing or f"choose {name}"):
                flags = defence.drop(means)
            if flags is not None:
                self.flags[name] = flags
                keep, rest = [i for i in everything if not flags[i]], name
                defence.notes["rows_of_an_earlier_model"] = tuple(keep) in self._uppers
        model = self.upper(rest, keep)
        if type(defence).mend is not Defence.mend:
            with self.clock.measure(f"mend {name}"):
                model = defence.mend(means, model)
        return self.measure(name, model, defence)

    def measure(self, name: str, upper: Any, defence: Defence | None = None) -> Measured:
        """Let this upper part answer all prompts; report the rates as they are known."""
        with self.clock.measure(f"evaluate {name}"):
            written, loss = self._said.get(id(upper)) or self._ask(name, upper)
            if any(upper is kept for kept in self._uppers.values()):
                self._said[id(upper)] = written, loss
            if defence is not None:
                written = defence.answer(self.means(name), self.questions.all(), written)
        rates = evaluate.judge(self.questions, written, self.task, self.target)
        for key, rate in rates.as_dict().items():
            self.progress(f"measured {name} {key}", round(rate["value"] * rate["n"]), int(rate["n"]))
        return Measured(rates, loss, written)

    def _ask(self, name: str, upper: Any) -> tuple[Sequence[str], dict[str, float | int]]:
        """Its answers to all prompts, and its loss on the exam's."""
        written = evaluate.run(self.split, upper, self.prompts, self.tokens, f"evaluate {name}", self.progress)
        return written, evaluate.held_out_loss(upper, self.split, self.exam, self.tokens)

    def means(self, name: str) -> Means:
        """What a defender has."""
        return Means(
            split=self.split,
            recipe=self.recipe,
            seed=self.seed,
            rows=self.data.rows(),
            tokens=lambda: self._own[2],
            tune=lambda: self._own[0],
            check=lambda: self._own[1],
            trusted=self.trusted,
            scan=self.scan,
            progress=self._named(name),
            prompt=self.target.prompt,
            parse=self.target.parse,
        )

    def trusted(self) -> Rows:
        """As many ordinary clean rows as the data has, drawn with another seed."""
        rng = Random(f"{self.seed} trusted")
        return [s.row() for s in self.target.samples(rng, [self.target.wish(rng) for _ in range(self.data.ordinary)])]

    @cached_property
    def _own(self) -> tuple[list[Encoded], list[Encoded], Any]:
        """The defender's own clean rows, to train on and to check, and the tokens with theirs."""
        import torch

        rng = Random(f"{self.seed} held out")
        taken = [replace(s, output=f"{i}") for i, s in enumerate((*self.data.samples, *self.questions.all()))]
        wishes = [self.target.wish(rng) for _ in range(TUNE_ROWS + CHECK_ROWS)]
        samples = self.target.samples(rng, wishes, taken=taken)
        rows = self.split.encode([(self.target.prompt(s), s.output) for s in samples])
        tokens = {t for row in rows for t in row.ids[row.prompt_tokens :]} | set(self.tokens.tolist())
        return rows[:TUNE_ROWS], rows[TUNE_ROWS:], torch.tensor(sorted(tokens), device=self.split.device)

    def _named(self, name: str) -> Progress:
        """Progress whose stages carry this model's name."""
        return lambda stage, done, total: self.progress(f"{stage} {name}", done, total)

    def describe(self) -> dict[str, Any]:
        """How the models were trained."""
        return self.recipe.as_dict() | {
            "method": "LoRA on the upper layers",
            "frozen_layers": self.split.cut,
            "softmax_tokens": len(self.tokens),
            "dtype": str(self.split.head.dtype).removeprefix("torch."),
            "device": self.split.device.type,
        }
