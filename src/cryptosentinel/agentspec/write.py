"""Rules written back as text: reading it again gives the same rules."""

from __future__ import annotations

from collections.abc import Iterable

from cryptosentinel.agentspec.syntax import (
    Compare,
    Condition,
    Constant,
    Enforcement,
    Junction,
    Not,
    Predicate,
    Rule,
    Trigger,
)
from cryptosentinel.agentspec.tokens import quoted


def write(rules: Iterable[Rule]) -> str:
    """How do these rules read?

    >>> from cryptosentinel.agentspec.parse import parse
    >>> print(write(parse("rule @r trigger swap check !a & (b | arg.x > 5) enforce stop end")), end="")
    rule @r
    trigger "swap"
    check not a and (b or arg.x > 5)
    enforce stop
    end
    """
    return "\n".join(_rule(rule) for rule in rules)


def _rule(rule: Rule) -> str:
    triggers = ", ".join(map(_trigger, rule.triggers))
    enforce = "\n        ".join(map(_enforcement, rule.enforcements))
    return f"rule @{rule.id}\ntrigger {triggers}\ncheck {condition(rule.condition)}\nenforce {enforce}\nend\n"


def _trigger(trigger: Trigger) -> str:
    return quoted(trigger.name) if trigger.is_tool else trigger.name


def _enforcement(enforcement: Enforcement) -> str:
    if enforcement.note:
        return f"{enforcement.name}({quoted(enforcement.note)})"
    if not enforcement.action:
        return enforcement.name
    given = ", ".join(f"{quoted(name)}: {value}" for name, value in enforcement.arguments)
    return f"{enforcement.name}({quoted(enforcement.action)}, {{{given}}})"


def condition(of: Condition) -> str:
    """How does this condition read?"""
    match of:
        case Constant(value):
            return str(value).lower()
        case Predicate(name, arguments, named):
            given = [*map(str, arguments), *(f"{key}={value}" for key, value in named)]
            return f"{name}({', '.join(given)})" if given else name
        case Compare(left, operator, right):
            return f"{left} {operator} {right}"
        case Not(inner):
            return f"not {_inside(inner)}"
        case Junction(word, parts):
            return f" {word} ".join(map(_inside, parts))


def _inside(of: Condition) -> str:
    return f"({condition(of)})" if isinstance(of, Junction) else condition(of)
