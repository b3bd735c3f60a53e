"""Conditions made into functions, so that judging an event costs no look at the rule's text."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from cryptosentinel.agentspec import equality
from cryptosentinel.agentspec.amounts import UnreadableError, amount
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.problems import nearest
from cryptosentinel.agentspec.signature import MisfitError, Test, bind
from cryptosentinel.agentspec.syntax import (
    FIELDS,
    Aggregate,
    Compare,
    Condition,
    Constant,
    Junction,
    Literal_,
    Not,
    Predicate,
    Reference,
    Score,
    Value,
)
from cryptosentinel.agentspec.totals import Total
from cryptosentinel.errors import ConfigError
from cryptosentinel.registry import lookup, names

Read = Callable[[Context], Any]
TotalOf = Callable[[Aggregate], Total]
Build = Callable[[Predicate], Test]
MAX_TEXT = 20_000  # a longer text is not searched: a rule about it cannot be decided
_ORDER = ("<", "<=", ">", ">=")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def build(predicate: Predicate) -> Test:
    """The test that a predicate's name and arguments stand for.

    Raises:
        MisfitError: no such predicate, or arguments that do not fit it.
    """
    try:
        factory = lookup("predicate", predicate.name).target
    except ConfigError:
        known = names("predicate")
        raise MisfitError(
            predicate.at, f"unknown predicate {predicate.name!r}", nearest(predicate.name, known)
        ) from None
    return bind(predicate, factory)


def leaves(of: Condition) -> Iterator[Constant | Predicate | Compare]:
    """The conditions that hold no other condition."""
    match of:
        case Not(inner):
            yield from leaves(inner)
        case Junction(_, parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield of


def compiled(of: Condition, total_of: TotalOf, build: Build = build) -> Test:
    """A function that says whether this condition holds for an event.

    `and` and `or` are read from left to right and no further than needed; what cannot be decided raises.

    Raises:
        MisfitError: names or types that do not fit.
    """
    match of:
        case Constant(value):
            return lambda _: value
        case Predicate():
            return build(of)
        case Compare():
            return _compare(of, total_of)
        case Not(inner):
            test = compiled(inner, total_of, build)
            return lambda context: not _decided(test(context))
        case Junction(word, parts):
            tests = [compiled(part, total_of, build) for part in parts]
            return _all_of(tests) if word == "and" else _any_of(tests)


def _decided(outcome: object) -> bool:
    if outcome is True or outcome is False:
        return outcome
    raise UnreadableError(f"a predicate answered {type(outcome).__name__}, neither true nor false")


def _all_of(tests: Sequence[Test]) -> Test:
    def test(context: Context) -> bool:
        for one in tests:  # noqa: SIM110  a generator costs more than the tests
            if not _decided(one(context)):
                return False
        return True

    return test


def _any_of(tests: Sequence[Test]) -> Test:
    def test(context: Context) -> bool:
        for one in tests:  # noqa: SIM110
            if _decided(one(context)):
                return True
        return False

    return test


def _compare(of: Compare, total_of: TotalOf) -> Test:
    left, right, name = of.left, of.right, of.operator
    if name == "matches":
        return _matches(of)
    if name == "in":
        if (isinstance(right, Literal_) and not isinstance(right.value, tuple)) or isinstance(right, Aggregate | Score):
            raise MisfitError(right.at, f"'in' takes a list such as ['USDC', 'SOL'], got {right}")
        items, item = _reader(right, total_of), _reader(left, total_of)
        if isinstance(right, Literal_) and isinstance(right.value, tuple):
            if not right.value:
                raise MisfitError(right.at, "the list is empty: nothing is ever in it")
            for one in right.value if isinstance(left, Score) else ():
                _refuse_settled(left, "==", one)
            texts = frozenset(i.value for i in right.value if isinstance(i.value, str))
            if len(texts) == len(right.value):
                return equality.among_texts(item, texts)
        return lambda context: equality.among(item(context), items(context))
    for side in (left, right):
        if isinstance(side, Literal_) and not isinstance(side.value, Decimal | str | bool):
            raise MisfitError(side.at, f"{side} cannot be compared by {name}")
    numeric = name in _ORDER or any(isinstance(s, Aggregate | Score) for s in (left, right))
    numeric = numeric or any(isinstance(s, Literal_) and isinstance(s.value, Decimal) for s in (left, right))
    if not numeric:
        a, b = _reader(left, total_of), _reader(right, total_of)
        if name == "==":
            return lambda context: equality.same(a(context), b(context))
        return lambda context: not equality.same(a(context), b(context))
    compare = _COMPARE[name]
    for score, bound in ((left, right), (right, left)):
        if isinstance(score, Score) and isinstance(bound, Literal_):
            _refuse_settled(score, name if score is left else _TURNED.get(name, name), bound)
    first = number(left, total_of)
    if isinstance(right, Literal_):
        fixed = number(right, total_of)(None)  # type: ignore[arg-type]  # a literal asks no event
        if isinstance(left, Reference):
            return _compare_fixed(left, compare, fixed)
        return lambda context: compare(first(context), fixed)
    second = number(right, total_of)
    return lambda context: compare(first(context), second(context))


def _refuse_settled(score: Value, name: str, bound: Literal_) -> None:
    """Refuse a comparison that no score decides: the rule would look as if it were at work.

    Raises:
        MisfitError: the bound is no number, or the comparison comes out the same for every score in [0, 1].
    """
    if not isinstance(bound.value, Decimal):
        raise MisfitError(bound.at, f"{bound} is no number")
    lowest, highest = (_COMPARE[name](Decimal(end), bound.value) for end in (0, 1))
    if lowest == highest and (name in _ORDER or not 0 <= bound.value <= 1):
        outcome = "always" if lowest else "never"
        raise MisfitError(bound.at, f"{score} lies in [0, 1]: this comparison with {bound} {outcome} holds")


def _compare_fixed(of: Reference, compare: Callable[[Any, Any], bool], fixed: Decimal) -> Test:
    key = of.written

    def test(context: Context) -> bool:  # the commonest condition by far, in as few calls as can be
        known = context.amounts.get(key)
        return compare(context.amount(of) if known is None else known, fixed)

    return test


def number(of: Value, total_of: TotalOf) -> Callable[[Context], Decimal]:
    """A function that reads this value as a number.

    Raises:
        MisfitError: it can never be one.
    """
    match of:
        case Literal_(value) if isinstance(value, Decimal):
            return lambda _: value
        case Reference(root) if root not in FIELDS:
            key = of.written

            def read(context: Context) -> Decimal:
                known = context.amounts.get(key)
                return context.amount(of) if known is None else known

            return read
        case Aggregate():
            return total_of(of).read
        case Score(name):
            return lambda context: _score(context, name)
    raise MisfitError(of.at, f"{of} is no number")


def _score(context: Context, name: str) -> Decimal:
    if name not in context.signals.scores:
        raise UnreadableError(f"nobody scored the {name} of this event")
    score = amount(context.signals.scores[name])
    if not 0 <= score <= 1:
        raise UnreadableError(f"the {name} of this event must lie in [0, 1], got {score}")
    return score


def _reader(of: Value, total_of: TotalOf) -> Read:
    match of:
        case Literal_(value):
            fixed = tuple(i.value for i in value) if isinstance(value, tuple) else value
            return lambda _: fixed
        case Reference():
            return lambda context: context.value(of)
        case _:
            return number(of, total_of)


def _matches(of: Compare) -> Test:
    if not isinstance(of.right, Literal_) or not isinstance(of.right.value, str):
        raise MisfitError(of.right.at, f"'matches' takes a pattern in quotes, got {of.right}")
    if not isinstance(of.left, Reference):
        raise MisfitError(of.left.at, f"'matches' takes a value of the event, got {of.left}")
    try:
        search, left = re.compile(of.right.value).search, of.left
    except (re.error, OverflowError, RecursionError) as error:
        raise MisfitError(of.right.at, f"not a regular expression: {error}") from None

    def test(context: Context) -> bool:
        text = equality.text(context.value(left))
        if len(text) > MAX_TEXT:
            raise UnreadableError(f"{left} has {len(text)} characters, at most {MAX_TEXT} are searched")
        return search(text) is not None

    return test
