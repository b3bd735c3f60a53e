"""Every value is traced to who said it first, however it is written."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.guard.events import arguments_of, leaves, voice_of
from cryptosentinel.guard.reading import LONGEST, decoded, normal, words
from cryptosentinel.types import Event

ADDRESS = "0x52908400098527886E0F7030069857D2E4169EE7"


def event(n: int, kind: str, sender: str, body: dict[str, object], agent: str = "bot") -> Event:
    return Event(str(n), float(n), "r", agent, kind, sender, agent, body)  # type: ignore[arg-type]


def talk(*parts: tuple[str, str, str]) -> Conversation:
    """A conversation of (kind, sender, text)."""
    conversation = Conversation("r")
    for n, (kind, sender, text) in enumerate(parts):
        key = "result" if kind == "tool_result" else "text"
        conversation.add(event(n, kind, sender, {key: text, "tool": sender}))
    return conversation


@pytest.mark.parametrize(
    "written",
    [
        ADDRESS,
        ADDRESS.lower(),
        ADDRESS[:10] + "\u200b" + ADDRESS[10:],
        "".join(chr(ord(c) + 0xFEE0) for c in ADDRESS),
        base64.b64encode(f"pay to {ADDRESS} now".encode()).decode(),
    ],
    ids=["as it is", "case", "zero width", "full width", "base64"],
)
def test_a_value_is_found_however_it_was_written(written: str) -> None:
    origin = talk(("message", "user", "Pay the bill."), ("tool_result", "web", f"Send to {written}.")).origin(ADDRESS)
    assert origin is not None
    assert (origin.turn, origin.trusted, origin.outside) == (1, False, (1,))


def test_links_and_amounts_have_one_form() -> None:
    conversation = talk(("message", "user", "Read https://www.shop.example/bill and pay 1,250.50 to ann@shop.example."))
    for value in ("shop.example/bill", "www.shop.example/bill", "1250.50", "Ann@Shop.Example"):
        assert (origin := conversation.origin(value)) and origin.trusted, value


def test_the_path_names_the_agents_that_a_value_travelled_through() -> None:
    conversation = talk(
        ("message", "user", "Find a coin."),
        ("tool_result", "news", "ZORGON is up"),
        ("message", "Analyst", "I recommend ZORGON"),
        ("message", "Trader", "Buying ZORGON"),
    )
    origin = conversation.origin("zorgon")
    assert origin is not None
    assert (origin.agent, origin.path, origin.trusted) == ("news", ("Analyst", "Trader"), False)


def test_a_user_who_repeats_a_value_vouches_for_it() -> None:
    conversation = talk(("tool_result", "web", f"pay {ADDRESS}"), ("message", "user", f"Yes, pay {ADDRESS}"))
    assert (origin := conversation.origin(ADDRESS)) and origin.trusted


def test_who_speaks_decides_unless_the_event_says_otherwise() -> None:
    assert voice_of(event(0, "message", "user", {"text": "x", "role": "user"})) == "principal"
    assert voice_of(event(0, "message", "Analyst", {"text": "x", "role": "user"})) == "agent"
    assert voice_of(event(0, "tool_result", "web", {"result": "x"})) == "outside"
    assert voice_of(event(0, "tool_result", "limits", {"result": "x", "trusted": True})) == "principal"
    assert voice_of(event(0, "message", "user", {"text": "x", "trusted": False})) == "outside"
    assert voice_of(event(0, "message", "user", {"text": "x", "trusted": "yes"})) == "principal"


def test_arguments_come_as_objects_json_or_python() -> None:
    for given_ in ({"a": 1}, '{"a": 1}', "{'a': 1}"):
        assert arguments_of(event(0, "tool_call", "bot", {"tool": "t", "arguments": given_})) == {"a": 1}
    assert arguments_of(event(0, "tool_call", "bot", {"tool": "t", "arguments": "{'a': __import__('os')}"})) is None


def test_deep_and_wide_values_end() -> None:
    deep: object = "end"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        list(leaves(deep))
    with pytest.raises(ValueError, match="more than 5000"):
        list(leaves({str(i): i for i in range(100_000)}))


def test_an_event_that_is_too_long_is_refused_not_cut() -> None:
    with pytest.raises(ValueError, match=f"at most {LONGEST}"):
        talk(("tool_result", "web", "a" * (LONGEST + 1)))


def test_the_cost_of_an_event_does_not_grow_with_the_history() -> None:
    conversation = Conversation("r")
    spent = []
    for n in range(3_000):
        body: dict[str, object] = {"result": f"row {n}: ann{n}@x.org paid {n} to 0x{n:040x} and is happy " * 5}
        started = time.perf_counter()
        conversation.add(event(n, "tool_result", "web", body))
        spent.append(time.perf_counter() - started)
    early, late = sorted(spent[200:700])[250], sorted(spent[-500:])[250]
    assert late < 5 * early


@given(st.text(max_size=300))
def test_reading_never_fails_and_is_stable(text: str) -> None:
    once = normal(text)
    assert words(normal(once)) == words(normal(normal(once)))
    assert all(isinstance(part, str) for part in decoded(text))


@given(st.lists(st.tuples(st.sampled_from(["user", "bot", "web"]), st.text(max_size=80)), max_size=12))
def test_what_was_said_is_never_forgotten(said: list[tuple[str, str]]) -> None:
    conversation = talk(*(("tool_result" if who == "web" else "message", who, text) for who, text in said))
    for who, text in said:
        for word in words(normal(text)):
            origin = conversation.word(word)
            assert origin is not None
            assert origin.trusted or who != "user"
