"""What a rule is made of, and how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NewType, TypeAlias

from cryptosentinel.agentspec.tokens import quoted

Place: TypeAlias = tuple[int, int]
Word = NewType("Word", str)  # a parameter that is written without quotes: drift_alarm(size)
Comparison = Literal["==", "!=", "<", "<=", ">", ">=", "in", "matches"]
Total = Literal["count", "sum", "distinct"]
Scope = Literal["run", "agent", "all"]

EVENTS = ("any", "before_action", "after_action", "state_change", "message", "finish")
FIELDS = ("agent", "tool", "kind", "sender", "recipient", "text")
ENFORCEMENTS = ("stop", "skip", "none", "user_inspection", "llm_self_examine", "invoke_action")
SAME_ENFORCEMENT = {"llm_self_reflect": "llm_self_examine"}  # AgentSpec's text and its code disagree on the name
SCORES = ("suspicion", "consistency", "safety")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def _place() -> Place:
    return (1, 1)


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time.

    >>> str(Duration(5400)), str(Duration(7200))
    ('90m', '2h')
    """

    seconds: int

    def __str__(self) -> str:
        """In the largest unit that fits."""
        unit, size = next((u, s) for u, s in _UNITS if self.seconds % s == 0)
        return f"{self.seconds // size}{unit}"


@dataclass(frozen=True, slots=True)
class Literal_:  # noqa: N801  `Literal` is typing's
    """A value that stands in the rule."""

    value: Decimal | str | bool | Duration | tuple[Literal_, ...]
    at: Place = field(default_factory=_place, compare=False)

    def __str__(self) -> str:
        """As it is written."""
        match self.value:
            case bool():
                return str(self.value).lower()
            case str():
                return quoted(self.value)
            case tuple():
                return f"[{', '.join(map(str, self.value))}]"
            case Decimal():
                return f"{self.value:f}"
            case _:
                return str(self.value)


@dataclass(frozen=True, slots=True)
class Reference:
    """A value of the event (`arg.amount`, `agent`, `text`) or one that the operator looked up (`fact.liquidity`)."""

    root: str
    path: tuple[str, ...] = ()
    at: Place = field(default_factory=_place, compare=False)
    written: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Put it together once: it is the key under which values are kept while an event is judged."""
        object.__setattr__(self, "written", ".".join((self.root, *self.path)))

    def __str__(self) -> str:
        """As it is written."""
        return self.written


@dataclass(frozen=True, slots=True)
class Symbol:
    """A bare word among the arguments."""

    name: str
    at: Place = field(default_factory=_place, compare=False)

    def __str__(self) -> str:
        """As it is written."""
        return self.name


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the events up to now are counted? Without `events`, those that trigger the rule."""

    events: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    within: Duration | None = None
    by: Reference | None = None
    scope: Scope = "run"

    def written(self) -> Iterator[str]:
        """Its filters, as arguments."""
        for name, values in (("tool", self.tools), ("event", self.events)):
            if values:
                yield f"{name}=[{', '.join(map(quoted, values))}]"
        if self.within:
            yield f"within={self.within}"
        if self.by:
            yield f"by={self.by}"
        if self.scope != "run":
            yield f"scope={self.scope}"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How many, how much in all, or how many different ones, in a window that ends with this event."""

    total: Total
    of: Reference | None
    window: Window
    at: Place = field(default_factory=_place, compare=False)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.total}({', '.join([*([str(self.of)] if self.of else []), *self.window.written()])})"


@dataclass(frozen=True, slots=True)
class Score:
    """What the semantic guard makes of this event, from 0 to 1."""

    name: str
    at: Place = field(default_factory=_place, compare=False)

    def __str__(self) -> str:
        """As it is written."""
        return f"semantic_score({self.name})"


Value: TypeAlias = Literal_ | Reference | Aggregate | Score


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool
    at: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class Predicate:
    """A registered predicate with its arguments; `named` keeps the order they were written in."""

    name: str
    arguments: tuple[Literal_ | Reference | Symbol, ...] = ()
    named: tuple[tuple[str, Literal_ | Reference | Symbol], ...] = ()
    at: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values held against each other."""

    left: Value
    operator: Comparison
    right: Value
    at: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Junction:
    """All of them (`and`), or one of them (`or`); read from left to right, no further than needed."""

    word: Literal["and", "or"]
    parts: tuple[Condition, ...]


Condition: TypeAlias = Constant | Predicate | Compare | Not | Junction


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What is to be done; `action` and `arguments` belong to invoke_action alone, `note` is for who inspects.

    An argument is a value of the rule, or a reference into the event.
    """

    name: str
    action: str = ""
    arguments: tuple[tuple[str, Literal_ | Reference], ...] = ()
    note: str = ""
    at: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event by name, or a tool; a tool whose name is an event's is written in quotes."""

    name: str
    is_tool: bool
    at: Place = field(default_factory=_place, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """When one of these events happens and the condition holds, do this."""

    id: str
    triggers: tuple[Trigger, ...]
    condition: Condition
    enforcements: tuple[Enforcement, ...]
    at: Place = field(default_factory=_place, compare=False)
