"""The steps of a campaign: which there are, what each is given, and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.redteam.data import MOST_POISONED
from cryptosentinel.redteam.material import digest
from cryptosentinel.types import Event

MOST_STEPS = 40
MOST_BYTES = 64 << 10
MOST_ROUNDS = 10
MOST_REQUESTS = 64
AGENT = "RedTeamAgent"
_SHOWN = 120  # characters of a wrong value

Name = Annotated[str, Field(max_length=60)]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a campaign is about and may do; the same scope and the same steps give the same rows.

    `attack` is the first that the planner tries; `goal` is the attack success rate at which it is content, `rounds` how
    often it may train. `rows`: ordinary clean rows; None = 240, with the tiny model 60. `reflection` names the model
    that judges stealth: "auto" is `model`, "none" is no model.
    """

    task: str = "bias-recommendation"
    attack: str = "semantic"
    variant: str | None = None
    payload: str | None = None
    target: str | None = None
    model: str = "gemma-3-270m"
    rows: int | None = None
    n: int = 100
    seed: int = 0
    defend: tuple[str, ...] = ("scan",)
    goal: float = 0.9
    rounds: int = 3
    sandbox: str = "namespace"
    reflection: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not 0.0 < self.goal <= 1.0:
            raise ConfigError(f"goal must lie in (0, 1], got {self.goal}")
        if not 1 <= self.rounds <= MOST_ROUNDS:
            raise ConfigError(f"rounds must lie in [1, {MOST_ROUNDS}], got {self.rounds}")
        if self.n < 1:
            raise ConfigError(f"n must be at least 1, got {self.n}")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"defend": list(self.defend)}

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Scope:
        """What `as_dict` wrote.

        Raises:
            DataError: another version wrote it.
        """
        try:
            return cls(**{**given, "defend": tuple(given["defend"])})
        except (TypeError, KeyError) as error:
            raise DataError(f"this is not the scope of a campaign: {error}") from None


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProposeTrigger(_Arguments):
    """An attack and its variant from the list; or, for the semantic attack, a trigger in own words with its wishes."""

    attack: Name
    variant: Name | None = None
    payload: Name | None = None
    trigger: Annotated[str, Field(max_length=200)] | None = None
    wishes: list[str] | None = None
    controls: list[str] | None = None


class BuildPoison(_Arguments):
    """How many rows, and requests in own words to be used for the first of them."""

    count: Annotated[int, Field(ge=1, le=MOST_POISONED, strict=True)]
    requests: Annotated[list[Any], Field(max_length=MOST_REQUESTS)] = []


class Nothing(_Arguments):
    """No arguments."""


ARGUMENTS: dict[str, type[_Arguments]] = {
    "propose_trigger": ProposeTrigger,
    "build_poison": BuildPoison,
    "reflect": Nothing,
    "fine_tune": Nothing,
    "evaluate": Nothing,
    "report": Nothing,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it is written down; `error` is empty where it was done, and then `result` says what came out."""

    number: int
    time: float
    tool: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def event(self, run: str, driver: str) -> Event:
        """For the ledger."""
        body = self.as_dict() | {"result_sha256": digest(dict(self.result))}
        return Event(f"{run}-{self.number}", self.time, run, AGENT, "tool_call", driver, self.tool, body)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Step:
        """What `event` wrote.

        Raises:
            DataError: it is no step, or its result is not the one that was written.
        """
        given = {key: body[key] for key in cls.__dataclass_fields__ if key in body}
        try:
            step = cls(**given)
        except TypeError as error:
            raise DataError(f"this is no step of a campaign: {error}") from None
        if digest(dict(step.result)) != body.get("result_sha256"):
            raise DataError(f"step {step.number} ({step.tool}): its result is not the one that was written down")
        return step


def check_arguments(tool: str, arguments: Any) -> BaseModel:
    """Arguments from outside, checked.

    None counts as not given.

    Raises:
        DataError: no such step, or arguments that do not fit: which one, its value and the bound.

    >>> check_arguments("build_poison", {"count": 100000})
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.DataError: build_poison: count: Input should be less than or equal to 256, got 100000
    """
    if tool not in ARGUMENTS:
        raise DataError(f"unknown step {tool[:_SHOWN]!r} (known: {', '.join(ARGUMENTS)})")
    if not isinstance(arguments, Mapping):
        raise DataError(f"{tool}: the arguments must be an object, got {type(arguments).__name__}")
    given = {key: value for key, value in arguments.items() if value is not None}
    if reason := unreadable(given):
        raise DataError(f"{tool}: {reason}")
    try:
        return ARGUMENTS[tool].model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:_SHOWN]
        raise DataError(f"{tool}: {place}: {first['msg']}, got {first['input']!r}"[: 3 * _SHOWN]) from None


def written(arguments: Any) -> dict[str, Any]:
    """The arguments as the transcript holds them: whole, or why not, with their digest.

    >>> written({"count": float("nan")})
    {'left_out': 'arguments that are no JSON'}
    """
    reason = unreadable(arguments)
    if not reason:
        return dict(json.loads(json.dumps(arguments)))
    too_long = reason.startswith("arguments of")
    return {"left_out": reason} | ({"sha256": digest(arguments)} if too_long else {})


def unreadable(arguments: Any) -> str:
    """Why are these arguments not read? Empty if they are."""
    try:
        text = json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return "arguments that are no JSON"
    if len(text) > MOST_BYTES:
        return f"arguments of {len(text)} bytes, at most {MOST_BYTES} are read"
    return "" if isinstance(arguments, Mapping) else "arguments that are no object"
