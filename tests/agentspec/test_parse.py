"""The language: what is written is read back, and whatever is wrong is said, with its place."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cryptosentinel.agentspec import RuleBook, RulesError, parse, write
from cryptosentinel.agentspec.conditions import MAX_DEPTH
from cryptosentinel.agentspec.syntax import (
    ENFORCEMENTS,
    EVENTS,
    FIELDS,
    SCORES,
    Aggregate,
    Compare,
    Condition,
    Constant,
    Duration,
    Enforcement,
    Junction,
    Literal_,
    Not,
    Predicate,
    Reference,
    Rule,
    Score,
    Symbol,
    Trigger,
    Window,
)
from cryptosentinel.agentspec.tokens import KEYWORDS

RESERVED = KEYWORDS | {
    "true",
    "false",
    "arg",
    "fact",
    "count",
    "sum",
    "distinct",
    "semantic_score",
    "True",
    "False",
    "any",
    *FIELDS,
}
names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}(\.[a-z0-9_]{1,4})?", fullmatch=True).filter(
    lambda n: n.partition(".")[0] not in RESERVED and n not in RESERVED
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=3).filter(
    lambda d: d or not d.is_signed()
)
durations = st.builds(Duration, st.integers(0, 10**6))
scalars = st.builds(Literal_, st.one_of(numbers, texts, st.booleans(), durations))
literals = st.one_of(scalars, st.builds(Literal_, st.lists(scalars, max_size=3).map(tuple)))
references = st.one_of(
    st.builds(
        Reference, st.sampled_from(["arg", "fact"]), names.map(lambda n: tuple(n.split(".")))
    ),
    st.builds(Reference, st.sampled_from(FIELDS)),
)  # fmt: skip
windows = st.builds(
    Window,
    st.lists(st.sampled_from(EVENTS), max_size=2).map(tuple),
    st.lists(texts.filter(bool), max_size=2).map(tuple),
    st.none() | durations.filter(lambda d: d.seconds > 0),
    st.none() | references,
    st.sampled_from(["run", "agent", "all"]),
)
of_event = references.filter(lambda r: r.root == "arg")
values = st.one_of(
    literals,
    references,
    st.builds(Aggregate, st.just("count"), st.none(), windows),
    st.builds(Aggregate, st.sampled_from(["sum", "distinct"]), of_event, windows),
    st.builds(Score, st.sampled_from(SCORES)),
)
arguments = st.one_of(literals, references, st.builds(Symbol, names))
named = st.lists(st.tuples(names.filter(lambda n: "." not in n), arguments), max_size=2, unique_by=lambda a: a[0])
simple = st.one_of(
    st.builds(Constant, st.booleans()),
    st.builds(Predicate, names, st.lists(arguments, max_size=2).map(tuple), named.map(tuple)),
    st.builds(Compare, values, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "matches"]), values),
)


def compound(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(Junction, st.sampled_from(["and", "or"]), parts))


actions = st.builds(
    Enforcement,
    st.just("invoke_action"),
    texts.filter(bool),
    st.lists(st.tuples(texts, st.one_of(literals, references)), max_size=2, unique_by=lambda a: a[0]).map(tuple),
)
rules = st.builds(
    Rule,
    st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
    st.lists(
        st.one_of(
            st.builds(Trigger, st.sampled_from(EVENTS), st.just(False)),
            st.builds(Trigger, texts.filter(bool), st.just(True)),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    st.recursive(simple, compound, max_leaves=6),
    st.lists(
        st.one_of(
            actions,
            st.builds(Enforcement, st.just("user_inspection"), note=texts),
            st.builds(Enforcement, st.sampled_from([e for e in ENFORCEMENTS if e != "invoke_action"])),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)


@given(st.lists(rules, min_size=1, max_size=2).map(tuple))
def test_what_is_written_reads_the_same(given_rules: tuple[Rule, ...]) -> None:
    assert parse(write(given_rules)) == given_rules


PIECES = st.sampled_from(
    ["rule", "@r", "trigger", "check", "enforce", "end", "stop", "swap", "any", "and", "not", "(", ")", "[", "]", "{",
     "}", ",", ":", "=", "==", "<", "in", "matches", "count", "sum", "arg.x", "is_large_trade", "1", "10m", '"a"', "'",
     '"', "/*", "*/", "//", "#", "\n",
     "\\", "true", "-", "9" * 400, "é", "\x00", "invoke_action", "within", "@", "\ud800"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join)))
@example("rule @r trigger any check " + "(" * 100_000)
@example("rule @r trigger any check " + "not " * 100_000 + "true enforce stop end")
@example("rule @r trigger any check arg.x in " + "[" * 100_000)
@example('rule @r trigger any check arg.x matches "' + "(" * 5_000 + '" enforce stop end')
@example("rule @r trigger any check arg.x > " + "9" * 100_000 + " enforce stop end")
@example("x" * 1_000_001)
def test_any_text_gives_rules_or_a_rule_error(text: str) -> None:
    try:
        book = RuleBook.parse(text)
    except RulesError as error:
        lines = text.split("\n")
        assert error.problems
        assert all(1 <= p.line <= len(lines) and 1 <= p.column <= len(lines[p.line - 1]) + 1 for p in error.problems)
        assert error.show()
    else:
        assert book.rules


def rule(check: str = "true", trigger: str = "swap", enforce: str = "stop") -> str:
    return f"rule @r\ntrigger {trigger}\ncheck {check}\nenforce {enforce}\nend"


WRONG = {
    "empty": ("", 1, 1, "no rule here"),
    "comments only": ("# nothing\n// here", 1, 1, "no rule here"),
    "no id": ("rule big\ntrigger swap", 1, 6, "expected an id such as @large-trade, got 'big'"),
    "misspelt keyword": ("rul @r", 1, 1, "expected 'rule', got 'rul' (did you mean 'rule'?)"),
    "no trigger": ("rule @r\ncheck true\nenforce stop\nend", 2, 1, "expected 'trigger', got 'check'"),
    "no condition": (rule(check=""), 4, 1, "got 'enforce'"),
    "no end": ("rule @r trigger swap check true enforce stop", 1, 45, "expected 'end', got the end of the file"),
    "next rule instead of end": (f"rule @a trigger any check true enforce stop {rule()}", 1, 45, "got 'rule'"),
    "event misspelt": (rule(trigger="befor_action"), 2, 9, "did you mean 'before_action'?"),
    "unknown predicate": (rule("is_large_trad"), 3, 7, "unknown predicate 'is_large_trad' (did you mean"),
    "unknown enforcement": (rule(enforce="user_inspektion"), 4, 9, "(did you mean 'user_inspection'?)"),
    "wrong type": (rule('is_large_trade("much")'), 3, 22, 'limit takes a number, got "much"'),
    "limit from the agent": (rule("is_large_trade(arg.x)"), 3, 22, "limit takes a number, got a value of the event"),
    "too many": (rule("dual_approval(2, arg.a, 3)"), 3, 31, "3 arguments, at most 2 fit dual_approval("),
    "missing argument": (rule("low_liquidity"), 3, 7, "'minimum' is missing in low_liquidity("),
    "unknown argument": (rule("is_large_trade(limt=5)"), 3, 27, "(did you mean 'limit'?)"),
    "given twice": (rule("is_large_trade(5, limit=6)"), 3, 31, "'limit' is given twice"),
    "refused by the predicate": (rule("is_large_trade(-1)"), 3, 7, "limit must be above 0, got -1"),
    "part of a person": (rule("dual_approval(1.5)"), 3, 21, "required takes a whole number, got 1.5"),
    "operand that is none": (rule('is_large_trade(5, amount="amount")'), 3, 32, "such as arg.amount, got 'amount'"),
    "value without arg": (rule("amount > 5"), 3, 7, "(did you mean 'arg.amount'?)"),
    "value alone": (rule("arg.amount"), 4, 1, "expected a comparison after arg.amount"),
    "one equals sign": (rule("arg.x = 5"), 3, 13, "written =="),
    "three values": (rule("1 < arg.x < 5"), 3, 17, "two values are compared at a time"),
    "order of texts": (rule('arg.x > "5"'), 3, 15, '"5" is no number'),
    "order of an agent": (rule("agent > 5"), 3, 7, "agent is no number"),
    "list compared": (rule("arg.x == [1]"), 3, 16, "[1] cannot be compared by =="),
    "in no list": (rule('arg.x in "abc"'), 3, 16, "'in' takes a list"),
    "bad pattern": (rule('arg.x matches "("'), 3, 21, "not a regular expression"),
    "and or or": (rule("is_large_trade | present(arg.x) present(arg.y)"), 3, 39, "is this 'and' or 'or'?"),
    "unclosed": (rule("(true"), 4, 1, "expected ')', got 'enforce'"),
    "deep": (rule("(" * 60 + "true" + ")" * 60), 3, 57, f"nested more than {MAX_DEPTH} deep"),
    "string without end": (rule('text matches "a'), 3, 20, "a string that does not end"),
    "comment without end": ("/* a", 1, 1, "a comment that does not end"),
    "unknown escape": (rule(r'text matches "a\d"'), 3, 22, "a backslash is written"),
    "half a character": (rule(r'text matches "a\uD800"'), 3, 22, "is no character"),
    "odd number": (rule("arg.x > 10min"), 3, 15, "'10min' is no number"),
    "odd sign": (rule("arg.x > $5"), 3, 15, "unexpected '$5'"),
    "letter of another script": (rule("arg.аmount > 5"), 3, 10, "unexpected '.аmount'"),
    "unknown filter": (rule("count(tol=swap) > 3"), 3, 17, "unknown filter 'tol' (did you mean 'tool'?)"),
    "count of what": (rule("count(arg.x) > 3"), 3, 13, "count takes filters only"),
    "sum of nothing": (rule("sum(within=1h) > 3"), 3, 7, "sum takes one value of the event"),
    "within a number": (rule("count(within=5) > 3"), 3, 20, "within takes a time such as 30s, 10m, 1h or 2d, got 5"),
    "within nothing": (rule("count(within=0s) > 3"), 3, 20, "within takes a time"),
    "unknown window event": (rule("count(event=swap) > 3"), 3, 19, "a tool is named by tool="),
    "unknown score": (rule("semantic_score(suspicious) > 0.5"), 3, 22, "(did you mean 'suspicion'?)"),
    "score above 1": (rule("semantic_score(suspicion) > 5"), 3, 35, "in [0, 1]: this comparison with 5 never holds"),
    "score on the right": (rule("5 < semantic_score(safety)"), 3, 7, "semantic_score(safety) lies in [0, 1]"),
    "score above the highest": (rule("semantic_score(safety) > 1"), 3, 32, "comparison with 1 never holds"),
    "score from the lowest": (rule("semantic_score(safety) >= 0"), 3, 33, "comparison with 0 always holds"),
    "score from the lowest, turned": (rule("0 <= semantic_score(safety)"), 3, 7, "comparison with 0 always holds"),
    "score that is none": (rule("semantic_score(safety) != -0.1"), 3, 33, "comparison with -0.1 always holds"),
    "score in percent": (rule("semantic_score(safety) in [0.5, 80]"), 3, 39, "comparison with 80 never holds"),
    "score among texts": (rule('semantic_score(safety) in ["high"]'), 3, 34, '"high" is no number'),
    "empty list": (rule("arg.amount in []"), 3, 21, "the list is empty: nothing is ever in it"),
    "not in an empty list": (rule("arg.amount not in []"), 3, 25, "the list is empty"),
    "enforcement with arguments": (rule(enforce="stop(1)"), 4, 13, "stop takes no arguments"),
    "note that is none": (rule(enforce="user_inspection(1)"), 4, 25, "a text in quotes"),
    "tool with a space": (rule(trigger="turn on"), 2, 14, "a name with a space is quoted"),
    "two of one name": (f"{rule()}\n{rule()}", 6, 1, "two rules are called @r; the first is on line 1, column 1"),
    "two of one name on a line": (" ".join([rule(), rule()]).replace("\n", " "), 1, 50, "first is on line 1, column 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_shown_where_it_is(name: str) -> None:
    text, line, column, message = WRONG[name]
    with pytest.raises(RulesError) as caught:
        RuleBook.parse(text)
    first = caught.value.problems[0]
    assert (first.line, first.column) == (line, column), caught.value.show()
    assert message in first.sentence
    place, source, caret = first.show().split("\n")[-3:]
    assert place.startswith(f"line {line}, column {column}: ")
    assert caret.index("^") - 4 <= len(source) - 4


@pytest.mark.parametrize("check", ["== 0", "!= 1", "> 0", ">= 1", "< 1", "<= 0", "== 0.5", ">= 0.8", "in [0, 1]"])
def test_a_comparison_that_scores_decide_loads(check: str) -> None:
    assert RuleBook.parse(rule(f"semantic_score(suspicion) {check}")).rules


def test_every_problem_of_a_file_is_shown_at_once() -> None:
    text = (
        f"{rule('is_large_trad')}\nrule @b\ntrigger befor_action\ncheck amount > 3\nenforce stp\nend\n{rule('true &')}"
    )
    with pytest.raises(RulesError) as caught:
        RuleBook.parse(text)
    assert [(p.line, p.column) for p in caught.value.problems] == [(3, 7), (7, 9), (8, 7), (9, 9), (14, 1)]
    assert str(caught.value).endswith("(4 more problems)")


def test_the_original_rule_file_loads() -> None:
    text = "rule @inspect\ntrigger\n    execute_swap\ncheck\n    is_large_trade\nenforce\n    user_inspection\nend\n"
    assert RuleBook.parse(text).rules == (
        Rule(
            "inspect", (Trigger("execute_swap", True),), Predicate("is_large_trade"),
            (Enforcement("user_inspection"),),
        ),
    )  # fmt: skip


def test_the_published_style_loads() -> None:
    text = """
        // several on lines of their own, dotted names, both kinds of junction, comments of every kind
        rule @to_home
        trigger act.send.mail | any.post   # a dotted tool, and one of any toolkit
        check
            !mail.is_home(5) | mail.is_far
            mail.is_open & !mail.is_known
        enforce
            llm_self_reflect
            invoke_action(mail.park, {"lane": 2, "to": arg.home, speed: "low"})
        end
    """
    (found,) = parse(text)

    def known(name: str, *given_values: Decimal) -> Predicate:
        return Predicate(name, tuple(Literal_(v) for v in given_values))

    assert found.triggers == (Trigger("act.send.mail", True), Trigger("post", True))
    assert found.condition == Junction(
        "and",
        (
            Junction("or", (Not(known("mail.is_home", Decimal(5))), known("mail.is_far"))),
            Junction("and", (known("mail.is_open"), Not(known("mail.is_known")))),
        ),
    )
    assert [e.name for e in found.enforcements] == ["llm_self_examine", "invoke_action"]
    assert dict(found.enforcements[1].arguments)["to"] == Reference("arg", ("home",))


def test_truths_may_be_capital_and_a_person_may_be_told_something() -> None:
    (found,) = parse(rule("True and not False", enforce='user_inspection("who asked for this?")'))
    assert found.condition == Junction("and", (Constant(True), Not(Constant(False))))
    assert found.enforcements == (Enforcement("user_inspection", note="who asked for this?"),)


def test_a_trigger_must_be_a_tool_that_there_is_where_they_are_named() -> None:
    assert RuleBook.parse(rule(), tools=["dex.swap"]).rules
    with pytest.raises(RulesError, match="no tool is called 'swap'"):
        RuleBook.parse(rule(), tools=["swop"])


def test_a_tool_with_the_name_of_an_event_is_quoted() -> None:
    (found,) = parse(rule(trigger='"message", message'))
    assert found.triggers == (Trigger("message", True), Trigger("message", False))
