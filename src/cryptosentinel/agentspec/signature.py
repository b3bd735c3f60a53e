"""Typed parameters of predicates: what a rule gives is checked when it is loaded, not when it matters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from cryptosentinel.agentspec.amounts import amount
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.problems import nearest
from cryptosentinel.agentspec.syntax import FIELDS, Duration, Literal_, Place, Predicate, Reference, Symbol, Word
from cryptosentinel.errors import ConfigError

Test = Callable[[Context], bool]
Argument = Literal_ | Reference | Symbol


@dataclass(frozen=True, slots=True)
class Operand:
    """A parameter whose value is read from each event: `arg.amount`, `fact.liquidity`, `agent`, or one fixed value."""

    reference: Reference | None
    fixed: Any = None

    @classmethod
    def named(cls, name: str) -> Operand:
        """The operand that is written like this.

        >>> Operand.named("arg.amount").reference
        Reference(root='arg', path=('amount',), at=(1, 1))
        """
        root, *path = name.split(".")
        if (root in ("arg", "fact")) != bool(path) or (root not in ("arg", "fact", *FIELDS)) or not all(path or "x"):
            raise ValueError(f"a value of the event, such as arg.amount, got {name!r}")
        return cls(Reference(root, tuple(path)))

    def value(self, context: Context) -> Any:
        """What is it, for this event?"""
        return self.fixed if self.reference is None else context.value(self.reference)

    def amount(self, context: Context) -> Decimal:
        """The same, as a number."""
        return amount(self.fixed) if self.reference is None else context.amount(self.reference)


class MisfitError(Exception):
    """Arguments that do not fit a predicate, with the place and what may have been meant."""

    def __init__(self, at: Place, message: str, hint: str = "") -> None:
        """Keep the three."""
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a predicate."""

    name: str
    kind: Any
    is_required: bool

    def __str__(self) -> str:
        """As a message shows it."""
        return f"{self.name}: {_KINDS[self.kind]}{'' if self.is_required else ' (optional)'}"


_KINDS: Mapping[Any, str] = {
    Decimal: "a number",
    int: "a whole number",
    str: "a text in quotes",
    bool: "true or false",
    Duration: "a time such as 10m",
    Word: "a name",
    Operand: "a value of the event such as arg.amount",
    tuple[str, ...]: "a list of texts",
    tuple[Decimal, ...]: "a list of numbers",
}


@cache
def parameters(factory: Callable[..., Test]) -> tuple[Parameter, ...]:
    """Which parameters does this predicate take?

    Raises:
        ConfigError: one has no type, or one that a rule cannot write.
    """
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    found = []
    for name, parameter in inspect.signature(factory).parameters.items():
        kind = hints.get(name)
        options = [k for k in get_args(kind) if k is not type(None)]
        if get_origin(kind) is not tuple and len(options) == 1:  # X | None
            kind = options[0]
        if kind not in _KINDS or parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise ConfigError(f"predicate {factory.__qualname__}: parameter {name!r} has a type that no rule can write")
        found.append(Parameter(name, kind, parameter.default is inspect.Parameter.empty))
    return tuple(found)


def bind(predicate: Predicate, factory: Callable[..., Test]) -> Test:
    """The test that this predicate with these arguments is.

    Raises:
        MisfitError: wrong number, name or type of arguments, or a value that the predicate refuses.
    """
    known = parameters(factory)
    takes = f"{predicate.name}({', '.join(map(str, known))})"
    if len(predicate.arguments) > len(known):
        extra = predicate.arguments[len(known)]
        raise MisfitError(extra.at, f"{len(predicate.arguments)} arguments, at most {len(known)} fit {takes}")
    given = {p.name: (p, a) for p, a in zip(known, predicate.arguments, strict=False)}
    for name, argument in predicate.named:
        if name in given:
            raise MisfitError(argument.at, f"{name!r} is given twice to {predicate.name}")
        parameter = next((p for p in known if p.name == name), None)
        if parameter is None:
            raise MisfitError(argument.at, f"no parameter {name!r} in {takes}", nearest(name, [p.name for p in known]))
        given[name] = (parameter, argument)
    if missing := [p.name for p in known if p.is_required and p.name not in given]:
        raise MisfitError(predicate.at, f"{missing[0]!r} is missing in {takes}")
    values = {name: _value(parameter, argument) for name, (parameter, argument) in given.items()}
    try:
        return factory(**values)
    except ValueError as error:
        raise MisfitError(predicate.at, f"{predicate.name}: {error}") from None


def _value(parameter: Parameter, argument: Argument) -> Any:
    fitted = _fitted(parameter.kind, argument)
    if fitted is None:
        said = "a value of the event" if isinstance(argument, Reference) else str(argument)
        raise MisfitError(argument.at, f"{parameter.name} takes {_KINDS[parameter.kind]}, got {said}")
    return fitted


def _fitted(kind: Any, argument: Argument) -> Any:
    if isinstance(argument, Symbol):
        return argument.name if kind is Word else None
    if kind is Operand:
        return _operand(argument)
    if isinstance(argument, Reference):  # an agent must not choose the limits it is held to
        return argument.root if kind is Word and not argument.path else None
    value = argument.value
    if kind in (Word, str):
        return value if isinstance(value, str) else None
    if kind is int:
        return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else None
    if kind in (Decimal, bool, Duration):
        return value if isinstance(value, kind) else None
    item = get_args(kind)[0]
    if not isinstance(value, tuple) or not all(isinstance(i.value, item) for i in value):
        return None
    return tuple(i.value for i in value)


def _operand(argument: Literal_ | Reference) -> Operand | None:
    if isinstance(argument, Reference):
        return Operand(Reference(argument.root, argument.path))
    if isinstance(argument.value, str):
        try:
            return Operand.named(argument.value)
        except ValueError as error:
            raise MisfitError(argument.at, str(error)) from None
    if isinstance(argument.value, tuple):
        return Operand(None, tuple(i.value for i in argument.value))
    return Operand(None, argument.value)
