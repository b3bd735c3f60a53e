"""The rule language: what an agent may do, written by the operator, judged at every event.

    book = RuleBook.load(Path("rules.ags"))      # RulesError: every problem, with its place
    engine = Engine(book)
    firings = engine.check(event, Signals(facts={"liquidity": "250000"}))
    verdict = judge(firings)                     # allow, flag, hold or block

An event's `arg.` values: the `arguments` of a tool call (a mapping or its JSON text), the `attributes` of a decision,
the `result` of a tool result; elsewhere the body itself. A tool call names its `tool`, a message has its `text`, and an
event that ends a run says `final: true`.
"""

from cryptosentinel.agentspec.book import RuleBook
from cryptosentinel.agentspec.context import Context, Signals
from cryptosentinel.agentspec.engine import POLICY, Engine, Firing, Measure, judge
from cryptosentinel.agentspec.inspection import Decision, Inspection, Inspector, inspect
from cryptosentinel.agentspec.parse import parse
from cryptosentinel.agentspec.problems import Problem, RulesError
from cryptosentinel.agentspec.signature import Operand, Test
from cryptosentinel.agentspec.syntax import Duration, Rule, Word
from cryptosentinel.agentspec.terminal import TerminalInspector
from cryptosentinel.agentspec.write import write

__all__ = [
    "POLICY",
    "Context",
    "Decision",
    "Duration",
    "Engine",
    "Firing",
    "Inspection",
    "Inspector",
    "Measure",
    "Operand",
    "Problem",
    "Rule",
    "RuleBook",
    "RulesError",
    "Signals",
    "TerminalInspector",
    "Test",
    "Word",
    "inspect",
    "judge",
    "parse",
    "write",
]
