"""What is watched, and how many false alarms does a person accept? The settings, from a config file or the defaults."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cryptosentinel.errors import ConfigError
from cryptosentinel.monitor.bets import Direction, Recursion

Kind = Literal["rate", "mean", "scores", "categories", "text"]
Value = str | bool | int | float | None
MONTH_S = 30.44 * 86400
DECISIONS = 10_000
MOST_DECISIONS = 1e15
_STRICT = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
_DIRECTED = ("rate", "mean")


class Feature(BaseModel):
    """How a decision becomes a number, or one of several categories.

    `attribute` is a path (`order.size`); `where` says of which decisions (attribute: value, or a list of them); `by`
    names attributes whose values are market states: each has a baseline of its own. `equals`, `above`, `below` make a
    rate of any attribute. With `per`, what is measured is the sum of the attribute (without one: the number of
    decisions) over all decisions in a row with the same value there; "time" is the event's own time.
    """

    model_config = _STRICT

    name: Annotated[str, Field(min_length=1, max_length=100)]
    kind: Kind
    attribute: str = ""
    unit: str = ""
    where: Mapping[str, Value | list[Value]] = {}
    by: tuple[str, ...] = ()
    per: str = ""
    equals: Value | list[Value] = None
    above: float | None = None
    below: float | None = None
    low: float | None = None
    high: float | None = None
    direction: Direction = "both"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse what has no meaning together."""
        compared = self.equals is not None or self.above is not None or self.below is not None
        if compared and self.kind != "rate":
            raise ValueError(f"equals, above and below make a rate, not {self.kind}")
        if self.per and self.kind not in ("mean", "scores"):
            raise ValueError(f"per counts or sums, which is a mean or scores, not {self.kind}")
        if not self.attribute and not self.per:
            raise ValueError("attribute is missing")
        if (self.low is None) != (self.high is None) or (self.low is not None and self.kind != "mean"):
            raise ValueError("low and high go together, for a mean")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.direction != "both" and self.kind not in _DIRECTED:
            raise ValueError(f"a direction is for {' and '.join(_DIRECTED)}, not {self.kind}")
        return self


class Plan(BaseModel):
    """What is watched, with which budget of false alarms.

    Args:
        decisions: one false alarm in so many decisions on average, over all streams together. Or:
        per_month: so many false alarms a month; how many decisions a month has is read off the baseline's times, or is
            `decisions_per_month`.
        confidence: that a stream's baseline bounds hold.
        recursion: "e-sr" or "e-cusum".
        multiplicity: "e-bh": streams of an agent that change together alarm together; "share": each on its own.
        kinds: which events count: decisions, tool calls (their attributes are `tool` and `arguments.NAME`) or both.
        learn: an agent without a baseline is taken as it is in its first so many decisions.
        features: what is measured; none: one stream for each attribute, by its type.

    >>> Plan().run_length(), Plan.read({"per_month": 0.5}).per_month
    (10000, 0.5)
    >>> Plan.read({"decision": 5})
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.ConfigError: config: unknown key 'decision' (did you mean decisions?)
    """

    model_config = _STRICT

    decisions: Annotated[float, Field(ge=10, le=MOST_DECISIONS, allow_inf_nan=False)] | None = None
    per_month: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    decisions_per_month: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.99
    recursion: Recursion = "e-sr"
    multiplicity: Literal["e-bh", "share"] = "e-bh"
    kinds: Annotated[tuple[Literal["decision", "tool_call"], ...], Field(min_length=1)] = ("decision",)
    learn: Annotated[int, Field(ge=20, le=100_000)] = 500
    features: tuple[Feature, ...] = ()

    @field_validator("features")
    @classmethod
    def _names(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        names = [f.name for f in features]
        if twice := [n for n in names if names.count(n) > 1]:
            raise ValueError(f"feature {twice[0]!r} is there twice")
        return features

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.decisions is not None and self.per_month is not None:
            raise ValueError("decisions and per_month are two budgets; give one")
        return self

    @classmethod
    def read(cls, values: Mapping[str, Any], source: str = "config") -> Plan:
        """The plan that a file's tables describe; `[[feature]]` tables are its features.

        Raises:
            ConfigError: an unknown key (the nearest is named), or a value that does not fit.
        """
        given = dict(values)
        if "feature" in given:
            given["features"] = given.pop("feature")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ConfigError(_explained(error, source)) from None

    def run_length(self, decisions: int = 0, seconds: float = 0.0) -> float:
        """After how many decisions on average is a false alarm accepted? The baseline's length says what a month has.

        Raises:
            ConfigError: a budget by the month, and no way to know how many decisions a month has.

        >>> round(Plan.read({"per_month": 1.0}).run_length(1000, 86400.0))
        30410
        """
        if self.per_month is None:
            return self.decisions or DECISIONS
        monthly = self.decisions_per_month
        if monthly is None:
            if decisions < 2 or seconds <= 0:
                raise ConfigError(
                    f"per_month = {self.per_month:g} needs a baseline with times, or decisions_per_month; "
                    f"the baseline has {decisions} decisions over {seconds:g} s"
                )
            monthly = (decisions - 1) / seconds * MONTH_S
        return min(max(monthly / self.per_month, 10.0), MOST_DECISIONS)


def _explained(error: ValidationError, source: str) -> str:
    """The first fault on one line."""
    first = error.errors()[0]
    place = [str(p) for p in first["loc"]]
    if first["type"] == "extra_forbidden":
        known = list(Feature.model_fields if place[0] == "features" else Plan.model_fields)
        near = difflib.get_close_matches(place[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"{source}: unknown key {'.'.join(place)!r} ({hint})"
    said = str(first["msg"]).removeprefix("Value error, ")
    if isinstance(first["input"], str | int | float | bool | None):
        return f"{source}: {'.'.join(place)} = {first['input']!r}: {said}"
    return f"{source}: {'.'.join(place)}: {said}" if place else f"{source}: {said}"
