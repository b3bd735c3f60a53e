"""Text to rules. Every problem of the text is found, not only the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptosentinel.agentspec.conditions import Conditions
from cryptosentinel.agentspec.problems import Report, nearest
from cryptosentinel.agentspec.reader import SkipError
from cryptosentinel.agentspec.syntax import (
    ENFORCEMENTS,
    EVENTS,
    SAME_ENFORCEMENT,
    Enforcement,
    Literal_,
    Reference,
    Rule,
    Trigger,
)
from cryptosentinel.agentspec.tokens import Token, tokens

T = TypeVar("T")
_SURE = 0.84  # this near to an event's name, a tool's name is taken for a slip


def parse(text: str) -> tuple[Rule, ...]:
    """Which rules does this text hold? Names and types are not checked here.

    Raises:
        RulesError: the text is no rules, with every place where it is not.

    >>> parse("rule @large trigger execute_swap check is_large_trade enforce user_inspection end")[0].id
    'large'
    """
    report = Report(text)
    rules = parse_into(text, report)
    report.settle()
    return rules


def parse_into(text: str, report: Report) -> tuple[Rule, ...]:
    """The rules that can be read; the rest is reported."""
    parser = _Parser(tokens(text, report), report)
    odd = list(report.problems)
    rules: list[Rule] = []
    while not parser.at_end():
        try:
            rules.append(parser.rule())
        except SkipError:
            parser.skip_rule()
    lines = {p.line for p in odd}  # what a line means is not known where its words are not
    report.problems = odd + [p for p in report.problems[len(odd) :] if p.line not in lines]
    if not rules and not report.problems:
        report.add((1, 1), "no rule here; a file with nothing to enforce is refused")
    return tuple(rules)


class _Parser(Conditions):
    def rule(self) -> Rule:
        """`rule @id trigger EVENT... check CONDITION enforce ENFORCEMENT... end`."""
        at = self.expect("rule").at
        name = self.next_of("id", "an id such as @large-trade")
        triggers = self._section("trigger", self._triggers)
        condition = self._section("check", self.condition)
        enforcements = self._section("enforce", self._enforcements)
        if triggers is None or condition is None or enforcements is None:
            raise SkipError
        self.expect("end")
        return Rule(name.text[1:], triggers, condition, enforcements, at)

    def _section(self, keyword: str, read: Callable[[], T]) -> T | None:
        """What a section says; None if it cannot be read, and then the next one is."""
        self._depth = 0
        try:
            self.expect(keyword)
            return read()
        except SkipError:
            while not (self.at("check", "enforce", "end") or self.at_end() or self._begins_rule()):
                self.advance()
            return None

    def _begins_rule(self) -> bool:
        return self.at("rule") and self.peek_after.kind == "id"

    def _triggers(self) -> tuple[Trigger, ...]:
        found = [self._trigger()]
        while self.accept(",") or self.accept("or"):
            found.append(self._trigger())
        if not self.at("check"):
            self.fail(
                self.peek.at, f"expected ',' or 'check', got {self.said(self.peek)}; a name with a space is quoted"
            )
        return tuple(found)

    def _enforcements(self) -> tuple[Enforcement, ...]:
        found = [self._enforcement()]
        while self.accept(",") or not (self.at("end") or self.at_end()):
            found.append(self._enforcement())
        return tuple(found)

    def skip_rule(self) -> None:
        """Go on at the next rule."""
        while not (self.at_end() or self._begins_rule() or self.accept("end")):
            self.advance()

    def _trigger(self) -> Trigger:
        token = self.peek
        if token.kind == "string":
            self.advance()
            if not token.value:
                self.fail(token.at, "a tool without a name")
            return Trigger(token.value, True, token.at)
        self.next_of("name", f"an event ({', '.join(EVENTS)}) or a tool's name")
        if token.text in EVENTS:
            return Trigger(token.text, False, token.at)
        toolkit, _, tool = token.text.partition(".")
        if toolkit == "any":  # of any toolkit
            return Trigger(tool, True, token.at)
        if hint := nearest(token.text, EVENTS, _SURE):
            self.report.add(
                token.at, f"no event is called {token.text!r}; if a tool is, write it in quotes", hint
            )  # taken for a tool, the rule would never fire
        return Trigger(token.text, True, token.at)

    def _enforcement(self) -> Enforcement:
        token = self.next_of("name", f"what to do ({', '.join(ENFORCEMENTS)}) or 'end'")
        name = SAME_ENFORCEMENT.get(token.text, token.text)
        if name not in ENFORCEMENTS:
            self.fail(token.at, f"unknown enforcement {token.text!r}", nearest(name, ENFORCEMENTS))
        if name != "invoke_action":
            return Enforcement(name, note=self._note(token), at=token.at)
        self.expect("(")
        action = self.peek
        if action.kind not in ("name", "string") or not (action.value or action.text.strip("\"'")):
            self.fail(action.at, f"expected the action's name, got {self.said(action)}")
        self.advance()
        arguments: list[tuple[str, Literal_ | Reference]] = []
        if self.accept(","):
            self.expect("{")
            while not self.accept("}"):
                if arguments:
                    self.expect(",")
                arguments.append(self._entry([key for key, _ in arguments]))
        self.expect(")")
        return Enforcement(name, action.value or action.text, tuple(arguments), at=token.at)

    def _note(self, token: Token) -> str:
        if not self.at("("):
            return ""
        if token.text != "user_inspection":
            self.fail(self.peek.at, f"{token.text} takes no arguments")
        self.advance()
        note = self.next_of("string", "a text in quotes for the person who inspects").value
        self.expect(")")
        return note

    def _entry(self, taken: list[str]) -> tuple[str, Literal_ | Reference]:
        key = self.peek
        if key.kind not in ("name", "string"):
            self.fail(key.at, f"expected an argument's name, got {self.said(key)}")
        self.advance()
        name = key.value if key.kind == "string" else key.text
        if name in taken:
            self.fail(key.at, f"{name!r} is given twice")
        self.expect(":")
        value = self.argument()
        if not isinstance(value, Literal_ | Reference):
            self.fail(value.at, f"a value or arg.{value}, got {value}: a text is written in quotes")
        return name, value
