"""The guard fails closed, does not know the future, and survives whatever it is given."""

from __future__ import annotations

import gzip
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosentinel.errors import ConfigError
from cryptosentinel.guard.check import Step
from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.guard.guard import Guard
from cryptosentinel.guard.scorer import Weights, parse
from cryptosentinel.types import Event, Finding

sys.path.insert(0, str(Path(__file__).parent))
from talks import actions, assessed, calls, result, said, user  # type: ignore[import-not-found]

DATA = Path(os.environ.get("CRYPTOSENTINEL_DATA") or Path(__file__).parents[3] / "shared" / "data") / "traces"


class Broken:
    name = "broken"
    version = 1

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        raise RuntimeError("no luck")


def message(n: int, run: str = "r", text: Any = "hello") -> Event:
    return Event(f"{run}{n}", 0.0, run, "bot", "message", "user", "bot", {"text": text, "role": "user"})


def test_a_check_that_raises_holds_and_the_others_still_judge() -> None:
    found = Guard(checks=[Broken()]).assess([message(0)])
    assert found.verdict.action == "hold"
    assert found.findings[0].status == "error"
    assert "no luck" in found.findings[0].reason


def test_an_event_that_cannot_be_read_holds() -> None:
    assert Guard().assess([message(0, text="a" * 1_000_001)]).verdict.action == "hold"


def test_steps_are_of_one_run() -> None:
    with pytest.raises(ValueError, match="one run"):
        Guard().assess([message(0, "a"), message(1, "b")])
    with pytest.raises(ValueError, match="one run"):
        Guard().assess([])


def test_a_run_is_opened_once_and_can_be_forgotten() -> None:
    guard = Guard()
    guard.open("r", task="Pay Ann.")
    with pytest.raises(ConfigError, match="open already"):
        guard.open("r")
    assert guard.conversation("r").asked
    guard.forget("r")
    assert not guard.conversation("r").turns


def test_many_threads_one_guard() -> None:
    guard = Guard()

    def run(name: str) -> int:
        for n in range(50):
            guard.assess([message(n, name, f"pay {n} to ann{n}@x.org")])
        return len(guard.conversation(name).turns)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, [f"run{i}" for i in range(8)])) == [50] * 8
        assert sum(pool.map(run, ["shared"] * 4)) > 0
    assert len(guard.conversation("shared").turns) == 200


@pytest.mark.parametrize(
    "text",
    ["{}", '{"checks": {}, "source": {}', '{"checks": {"a": {"cut": 2, "slope": 1, "shares": {}}}}', "[]",
     '{"checks": {"a": {"cut": NaN, "slope": 1, "shares": {}}}}'],
)  # fmt: skip
def test_weights_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, "w.json")


def test_weights_from_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Weights.load(tmp_path / "none.json")


WORDS = st.sampled_from(
    [
        "please",
        "send",
        "900",
        "to",
        "eve@x.org",
        "buy",
        "ORVA",
        "ignore",
        "the",
        "task",
        "0xab12cd",
        "weak",
        "\u200b",
        "。",
        "]",
        '"',
    ]
)
TEXT = st.lists(WORDS, max_size=12).map(" ".join)
ARGUMENTS = st.dictionaries(st.sampled_from(["to", "n"]), TEXT, max_size=2)
CALLS = st.tuples(st.sampled_from(["pay", "buy_token"]), ARGUMENTS).map(calls)
MESSAGE = st.one_of(TEXT.map(user), TEXT.map(said), TEXT.map(result), CALLS)


@settings(deadline=None, max_examples=60)
@given(st.lists(MESSAGE, max_size=8), st.integers(0, 8))
def test_the_verdict_on_the_first_messages_does_not_depend_on_the_rest(messages: list[Any], k: int) -> None:
    part = assessed(messages[:k])
    assert assessed(messages)[: len(part)] == part


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["message", "tool_call", "tool_result", "decision"]),
    st.dictionaries(
        st.sampled_from(["text", "role", "tool", "arguments", "result", "attributes", "trusted"]), ANY, max_size=5
    ),
)
def test_whatever_an_event_holds_there_is_a_verdict(kind: Any, body: dict[str, Any]) -> None:
    found = Guard().assess([Event("e", 0.0, "r", "bot", kind, "bot", "x", body)])
    assert found.verdict.action in ("allow", "flag", "hold", "block")
    assert all(0.0 <= s <= 1.0 for s in found.scores.as_dict().values())


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation data folder is not here")
@pytest.mark.parametrize("part", ["agentdojo", "asb", "rjudge"])
def test_the_verdict_on_real_traces_does_not_depend_on_the_rest(part: str) -> None:
    with gzip.open(DATA / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(40), strict=False)][::4]
    for row in rows:
        messages = row["messages"]
        whole = actions(messages, tools=row.get("tools"))
        for k in {1, len(messages) // 2, len(messages) - 1}:
            cut = actions(messages[:k], tools=row.get("tools"))
            assert cut == whole[: len(cut)]
