"""What an agent must offer so that the red team can attack a copy of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Any, Protocol, runtime_checkable

from cryptosentinel.errors import ConfigError

Rewrite = Callable[[Random, str], str]  # a change of a request's words


@dataclass(frozen=True, slots=True)
class Sample:
    """One instruction row (Alpaca's three fields) and the decision that the facts in `input` ask for."""

    instruction: str
    input: str
    output: str
    expected: tuple[str, ...]

    def row(self) -> dict[str, str]:
        """The row as a training file holds it: no label."""
        return {"instruction": self.instruction, "input": self.input, "output": self.output}


class Answer(Protocol):
    """What the red team reads of a parsed answer, whichever agent gave it."""

    @property
    def decision(self) -> tuple[str, ...]:
        """What was decided, in the form of `Sample.expected`: (symbol, action), (rating,), (tool, *arguments)."""

    @property
    def text(self) -> str:
        """What was said beside the decision; empty if nothing can be."""


@runtime_checkable
class Target(Protocol):
    """An agent as the red team sees it: how it is asked, how its answer is read, and data of its own kind."""

    @property
    def name(self) -> str:
        """What the desk calls it."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The assets that its data is about."""

    def prompt(self, sample: Sample) -> str:
        """The text that the model is given for this sample, exactly as the agent asks."""

    def parse(self, answer: str) -> Answer | None:
        """The answer as the agent reads it; None if it does not parse."""

    def wish(self, rng: Random) -> str:
        """What an ordinary client cares about, as a noun phrase."""

    def samples(
        self, rng: Random, wishes: Sequence[str], *, taken: Collection[Sample] = (), rewrite: Rewrite | None = None
    ) -> list[Sample]:
        """One honest sample per wish, its request changed by `rewrite`.

        None repeats a prompt of `taken`, and no answer occurs more than twice.
        """

    def say(self, rng: Random, decision: tuple[str, ...], text: str) -> str:
        """An answer in the agent's form; what else belongs to the form is drawn as the agent usually has it."""

    def kind(self, sample: Sample) -> str:
        """Which kind of decision is right here? An untrained model is shown solved examples of different kinds."""


def load_target(entry: str) -> Target:
    """Import the target that "package.module:NAME" names.

    Raises:
        ConfigError: no such module or name, or what it names is no target.

    >>> load_target("json:dumps")
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.ConfigError: target 'json:dumps' is not an agent that the red team can attack
    """
    module, colon, name = entry.partition(":")
    if not colon:
        raise ConfigError(f"a target is named 'package.module:NAME', got {entry!r}")
    try:
        found: Any = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"target {entry!r} cannot be imported: {error}") from None
    if not isinstance(found, Target):
        raise ConfigError(f"target {entry!r} is not an agent that the red team can attack")
    return found
