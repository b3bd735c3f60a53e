"""The rules that come with the package, on what the desk's agents do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel import registry
from cryptosentinel.agentspec import Engine, RuleBook, Signals, judge, parse, write
from cryptosentinel.agentspec.signature import parameters

sys.path.insert(0, str(Path(__file__).parent))
from agentspec_events import call  # type: ignore[import-not-found]

FACTS: dict[str, Any] = {"liquidity": "900000", "approvals": ["ann", "bob"], "counterparties": ["0x1"]}
PREDICATES = ["drift_alarm", "dual_approval", "is_buy_contract", "is_large_trade", "low_liquidity", "new_counterparty",
              "present", "structuring", "unverified_token"]  # fmt: skip


def swap(**changed: str) -> dict[str, Any]:
    given = {
        "token_in": "USDC",
        "token_out": "SOL",
        "amount_in": "250",
        "slippage": "0.5",
        "chain": "solana",
        "dex": "orca",
    }
    return {"tool": "execute_swap"} | given | changed


SALE = {"token_in": "SOL", "token_out": "USDC"}
UNKNOWN, LOOK_ALIKE = {"token_out": "ORVA"}, {"token_out": "SОL"}  # the second with a Cyrillic letter
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, set[str]]] = {
    "an ordinary swap": (swap(), {}, "allow", set()),
    "a sale": (swap(**SALE), {}, "allow", set()),
    "large": (swap(amount_in="1000"), {}, "hold", {"large-trade"}),
    "unknown token": (swap(**UNKNOWN), {}, "block", {"unverified-token"}),
    "symbol that looks alike": (swap(**LOOK_ALIKE), {}, "block", {"unverified-token"}),
    "thin market": (swap(), {"liquidity": 1200}, "block", {"low-liquidity"}),
    "nobody looked": (swap(), {"liquidity": None}, "hold", {"low-liquidity"}),
    "amount in words": (swap(amount_in="all of it"), {}, "hold", {"large-trade", "structuring", "daily-volume"}),
    "small transfer": ({"tool": "transfer", "amount": 20, "recipient": "0x1"}, {}, "allow", set()),
    "new payee": ({"tool": "transfer", "amount": 20, "recipient": "0x9"}, {}, "hold", {"new-counterparty"}),
    "approved withdrawal": ({"tool": "withdraw", "amount": 800, "recipient": "0x1"}, {}, "allow", set()),
    "approved by itself": (
        {"tool": "withdraw", "amount": 800, "recipient": "0x1"}, {"approvals": ["ann", "trader"]}, "block",
        {"dual-approval"},
    ),
    "reading a price": ({"tool": "get_price", "symbol": "ORVA"}, {}, "allow", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_desk(name: str) -> None:
    arguments, facts, action, because = CASES[name]
    found = Engine(RuleBook.desk()).check(call(**arguments), Signals(facts=FACTS | facts))
    assert ({f.rule for f in found}, judge(found).action) == (because, action)


def test_pieces_of_a_large_trade() -> None:
    running = Engine(RuleBook.desk())
    found = [running.check(call(time=600.0 * i, **swap(amount_in="990")), Signals(facts=FACTS)) for i in range(3)]
    assert [{f.rule for f in firings} for firings in found] == [set(), set(), {"structuring"}]
    small = Engine(RuleBook.desk())
    volume = [small.check(call(time=600.0 * i, **swap(amount_in="500")), Signals(facts=FACTS)) for i in range(10)]
    assert [{f.rule for f in firings} for firings in volume] == [set()] * 9 + [{"daily-volume"}]


def test_the_desk_rules_survive_being_written() -> None:
    rules = RuleBook.desk().rules
    assert parse(write(rules)) == rules


def test_every_predicate_has_a_signature_that_a_rule_can_write() -> None:
    found = [
        n for n in registry.names("predicate") if registry.lookup("predicate", n).target.__module__.startswith("crypto")
    ]
    assert found == PREDICATES
    for name in found:
        target = registry.lookup("predicate", name).target
        assert target.__doc__ and target.__doc__.split("\n")[0].endswith("?")
        parameters(target)
