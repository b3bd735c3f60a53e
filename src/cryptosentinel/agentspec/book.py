"""A rule file, read and checked: what an engine runs on."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cryptosentinel.agentspec.predicates  # noqa: F401  registers those that come with the package
from cryptosentinel.agentspec.compile import build, compiled, leaves
from cryptosentinel.agentspec.parse import parse_into
from cryptosentinel.agentspec.problems import Report, nearest
from cryptosentinel.agentspec.signature import MisfitError
from cryptosentinel.agentspec.syntax import Aggregate, Compare, Place, Predicate, Reference, Rule, Score
from cryptosentinel.agentspec.totals import Total
from cryptosentinel.errors import ConfigError

DESK = "rules.ags"


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Rules that were read without a problem, and where they came from. Only who starts the guard can make one.

    >>> RuleBook.parse("rule @a trigger any check is_larg_trade enforce stop end")
    Traceback (most recent call last):
    ...
    cryptosentinel.agentspec.problems.RulesError: line 1, column 27: unknown predicate 'is_larg_trade' (did you mean...
    """

    rules: tuple[Rule, ...]
    name: str
    sha256: str

    @classmethod
    def load(cls, path: Path, tools: Collection[str] = ()) -> RuleBook:
        """Read a rule file. With `tools`, the names of all the tools there are, a trigger must be one of them.

        Raises:
            ConfigError: the file is missing or is no UTF-8 text.
            RulesError: it holds no rule, or something in it is wrong; with every problem and its place.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise ConfigError(f"rule file {path}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"rule file {path}: not UTF-8 text, byte {error.start}") from error
        return cls.parse(text, str(path), tools)

    @classmethod
    def parse(cls, text: str, name: str = "<rules>", tools: Collection[str] = ()) -> RuleBook:
        """Read rules from a text.

        Raises:
            RulesError: no rule, or something is wrong; with every problem and its place.
        """
        report = Report(text)
        rules = parse_into(text, report)
        _check(rules, report, tools)
        report.settle()
        return cls(rules, name, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())

    @classmethod
    def desk(cls) -> RuleBook:
        """The rules that come with the package, for the trading desk.

        >>> [rule.id for rule in RuleBook.desk().rules][:2]
        ['large-trade', 'unverified-token']
        """
        text = files("cryptosentinel.agentspec").joinpath(DESK).read_text("utf-8")
        return cls.parse(text, DESK)

    @property
    def scores(self) -> frozenset[str]:
        """Which scores of the semantic guard do these rules ask for?"""
        return frozenset(
            side.name
            for rule in self.rules
            for leaf in leaves(rule.condition)
            if isinstance(leaf, Compare)
            for side in (leaf.left, leaf.right)
            if isinstance(side, Score)
        )


def _check(rules: Iterable[Rule], report: Report, tools: Collection[str]) -> None:
    seen: dict[str, Place] = {}
    for rule in rules:
        first = seen.setdefault(rule.id, rule.at)
        if first != rule.at:
            report.add(rule.at, f"two rules are called @{rule.id}; the first is on line {first[0]}, column {first[1]}")
        for trigger in rule.triggers:
            if tools and trigger.is_tool and trigger.name not in {*tools, *(t.rpartition(".")[2] for t in tools)}:
                report.add(trigger.at, f"no tool is called {trigger.name!r}", nearest(trigger.name, tools))
        for leaf in leaves(rule.condition):
            try:
                _check_leaf(leaf)
            except MisfitError as error:
                report.add(error.at, error.message, error.hint)


def _check_leaf(leaf: object) -> None:
    if isinstance(leaf, Predicate):
        build(leaf)
    elif isinstance(leaf, Compare):
        compiled(leaf, Total)


def described(rule: Rule) -> dict[str, Any]:
    """What is in this rule, for a list of them? `facts` are those that it names; a predicate may ask for its own."""
    facts = sorted({str(r) for leaf in leaves(rule.condition) for r in _references(leaf) if r.root == "fact"})
    return {
        "id": rule.id,
        "line": rule.at[0],
        "triggers": [t.name for t in rule.triggers],
        "enforce": [e.name for e in rule.enforcements],
        "facts": facts,
    }


def _references(leaf: object) -> list[Reference]:
    if isinstance(leaf, Predicate):
        given = [*leaf.arguments, *(argument for _, argument in leaf.named)]
    elif isinstance(leaf, Compare):
        sides = (leaf.left, leaf.right)
        given = [s.of if isinstance(s, Aggregate) and s.of else s for s in sides]  # type: ignore[misc]
    else:
        given = []
    return [a for a in given if isinstance(a, Reference)]
