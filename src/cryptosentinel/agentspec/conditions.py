"""The conditions of a rule, read from its words."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

from cryptosentinel.agentspec.filters import window
from cryptosentinel.agentspec.problems import nearest
from cryptosentinel.agentspec.reader import Reader
from cryptosentinel.agentspec.syntax import (
    FIELDS,
    SCORES,
    Aggregate,
    Compare,
    Comparison,
    Condition,
    Constant,
    Duration,
    Junction,
    Literal_,
    Not,
    Predicate,
    Reference,
    Score,
    Symbol,
    Total,
    Value,
)
from cryptosentinel.agentspec.tokens import KEYWORDS, Token

MAX_DEPTH = 50
ROOTS = ("arg", "fact")
_COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)
_TOTALS: tuple[Total, ...] = get_args(Total)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
Argument = Literal_ | Reference | Symbol


class Conditions(Reader):
    """Reads conditions: `or` binds loosest, then `and`, then `not`; one condition under another means both."""

    _depth = 0  # of brackets and 'not'

    def condition(self) -> Condition:
        """Everything up to `enforce`, or up to a closing bracket."""
        parts = [self._junction("or")]
        while not self.at("enforce", ")") and not self.at_end():
            on_one_line = self.peek.at[0] == self.last_line
            at = self.peek.at
            parts.append(self._junction("or"))
            if on_one_line and any(isinstance(p, Junction) and p.word == "or" for p in parts[-2:]):
                self.fail(at, "expected 'and', 'or' or a new line: is this 'and' or 'or'?")
        return parts[0] if len(parts) == 1 else Junction("and", tuple(parts))

    def _junction(self, word: str) -> Condition:
        def part() -> Condition:
            return self._junction("and") if word == "or" else self._negation()

        parts = [part()]
        while self.accept(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction("or" if word == "or" else "and", tuple(parts))

    def _negation(self) -> Condition:
        turned = 0
        while self.at("not"):
            self._deeper(self.advance())
            turned += 1
        found = self._simple()
        self._depth -= turned
        for _ in range(turned):
            found = Not(found)
        return found

    def _simple(self) -> Condition:
        token = self.peek
        if self.accept("("):
            self._deeper(token)
            inner = self.condition()
            self._depth -= 1
            self.expect(")")
            return inner
        if token.kind == "name" and token.text not in ("true", "false") and not self._is_value(token):
            self.next_of("name", "a condition")
            predicate = self._predicate(token)
            if self.at(*_COMPARISONS):
                known = [*FIELDS, *_TOTALS, "semantic_score", f"arg.{token.text}"]
                hint = nearest(token.text, known) or f"arg.{token.text}"
                self.fail(token.at, f"{token.text!r} is no value that can be compared", hint)
            return predicate
        left = self._value()
        operator, negated = self._comparison()
        if operator is None:
            if isinstance(left, Literal_) and isinstance(left.value, bool):
                return Constant(left.value, token.at)
            self.fail(self.peek.at, f"expected a comparison after {left}, got {self.said(self.peek)}")
        compared = Compare(left, operator, self._value(), token.at)
        again = self.peek.at
        if self._comparison()[0] is not None:
            self.fail(again, "two values are compared at a time; join comparisons with 'and'")
        return Not(compared) if negated else compared

    def _comparison(self) -> tuple[Comparison | None, bool]:
        negated = self.at("not") and self.peek.text == "not" and self.peek_after.text == "in"
        if negated:
            self.advance()
        for operator in _COMPARISONS:
            if self.at(operator):
                self.advance()
                return operator, negated
        if self.at("="):
            self.fail(self.peek.at, "a comparison is written ==", "==")
        return None, False

    def _is_value(self, token: Token) -> bool:
        name = token.text
        return name in FIELDS or name.partition(".")[0] in ROOTS or name in _TOTALS or name == "semantic_score"

    def _value(self) -> Value:
        token = self.peek
        if token.kind == "name" and (token.text in _TOTALS or token.text == "semantic_score"):
            self.advance()
            self.expect("(")
            if token.text == "semantic_score":
                name = self.argument()
                said = name.name if isinstance(name, Symbol) else name.value if isinstance(name, Literal_) else None
                if said not in SCORES:
                    self.fail(name.at, f"semantic_score takes one of {', '.join(SCORES)}", nearest(str(said), SCORES))
                self.expect(")")
                return Score(str(said), token.at)
            return self._aggregate(token, next(t for t in _TOTALS if t == token.text))
        found = self.argument()
        if isinstance(found, Symbol):
            self.fail(found.at, f"unknown value {found.name!r}", nearest(found.name, FIELDS) or f"arg.{found.name}")
        return found

    def _aggregate(self, token: Token, total: Total) -> Aggregate:
        given, named = self._arguments()
        if total == "count" and given:
            self.fail(given[0].at, "count takes filters only: tool=, event=, within=, by=, scope=")
        if total != "count" and (len(given) != 1 or not isinstance(given[0], Reference) or given[0].root != "arg"):
            self.fail(token.at, f"{total} takes one value of the event, such as arg.amount, then filters")
        of = given[0] if given and isinstance(given[0], Reference) else None
        return Aggregate(total, of, window(named, self), token.at)

    def _predicate(self, token: Token) -> Predicate:
        if not (self.at("(") and self.peek.at[0] == token.at[0]):
            return Predicate(token.text, at=token.at)
        self.advance()
        given, named = self._arguments()
        return Predicate(token.text, given, named, token.at)

    def _arguments(self) -> tuple[tuple[Argument, ...], tuple[tuple[str, Argument], ...]]:
        given: list[Argument] = []
        named: list[tuple[str, Argument]] = []
        while not self.accept(")"):
            if given or named:
                self.expect(",")
            if self.peek.kind == "name" and self.peek_after.text == "=":
                name = self.advance()
                self.advance()
                if name.text in dict(named):
                    self.fail(name.at, f"{name.text!r} is given twice")
                named.append((name.text, self.argument()))
            elif named:
                self.fail(self.peek.at, "an argument without a name after one with a name")
            else:
                given.append(self.argument())
        return tuple(given), tuple(named)

    def argument(self) -> Argument:
        """A value of the rule, a reference, or a bare word."""
        token = self.advance()
        match token.kind:
            case "number":
                return Literal_(Decimal(token.text.replace("_", "")), token.at)
            case "duration":
                return Literal_(Duration(int(token.text[:-1]) * _UNITS[token.text[-1]]), token.at)
            case "string":
                return Literal_(token.value, token.at)
            case "name" if token.text in ("true", "false"):
                return Literal_(token.text == "true", token.at)
            case "name" if token.text in FIELDS:
                return Reference(token.text, (), token.at)
            case "name" if token.text not in KEYWORDS:
                root, *path = token.text.split(".")
                if root in ROOTS and path:
                    return Reference(root, tuple(path), token.at)
                if root in ROOTS:
                    self.fail(token.at, f"{root} alone is no value; name one, such as {root}.amount")
                return Symbol(token.text, token.at)
            case "op" if token.text == "[":
                return self._list(token)
        self.fail(token.at, f"expected a value, got {self.said(token)}")

    def _list(self, opening: Token) -> Literal_:
        self._deeper(opening)
        items: list[Literal_] = []
        while not self.accept("]"):
            if items:
                self.expect(",")
            item = self.argument()
            if not isinstance(item, Literal_):
                self.fail(item.at, f"a list holds numbers and texts in quotes, got {item}")
            items.append(item)
        self._depth -= 1
        return Literal_(tuple(items), opening.at)

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail(token.at, f"nested more than {MAX_DEPTH} deep")
