"""A guarded agent behind AgentOS, asked over its HTTP routes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agno")
pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from agno.db.in_memory import InMemoryDb
from agno.os import AgentOS
from fastapi.testclient import TestClient

from cryptosentinel.adapters.agno import attach
from cryptosentinel.agentspec import RuleBook
from cryptosentinel.observer import Observer

sys.path.insert(0, str(Path(__file__).parent))
from agno_desk import Desk, agent, hand_over, team  # type: ignore[import-not-found]

RULES = """
rule @large trigger swap check arg.amount >= 1_000 enforce stop end
rule @address trigger message check text matches "0xB[A]D" enforce skip end
"""
LARGE = [("swap", {"token": "A", "amount": 5_000})]
SMALL = [("swap", {"token": "A", "amount": 5})]


def once(calls: Any, last: str = "Done.") -> Any:
    return lambda messages: last if messages[-1].role == "tool" else calls


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize("in_background", [False, True])
def test_agents_and_teams_are_guarded_behind_their_routes(stream: str, in_background: bool) -> None:
    desk = Desk()
    db: Any = InMemoryDb()  # type: ignore[no-untyped-call]
    large = agent([once(LARGE)], [desk.swap_tool()], name="Large", id="large")
    small = agent([once(SMALL)], [desk.swap_tool()], name="Small", id="small")
    liar = agent(["To 0xBAD."], [], name="Liar", id="liar")
    member = agent([once(LARGE)], [desk.swap_tool()], name="Member", id="member")
    desk_team = team([once(hand_over("member", "Buy"))], [member], id="desk")
    for entity in (large, small, liar, desk_team):
        attach(entity, Observer(RuleBook.parse(RULES)))
    app = AgentOS(
        agents=[large, small, liar], teams=[desk_team], db=db, telemetry=False, run_hooks_in_background=in_background
    ).get_app()
    with TestClient(app) as client:
        answers = {
            name: client.post(f"/{kind}/{name}/runs", data={"message": "Go.", "stream": stream})
            for kind, name in (("agents", "large"), ("agents", "liar"), ("teams", "desk"))
        }
        assert desk.swaps == []
        client.post("/agents/small/runs", data={"message": "Go.", "stream": stream})
    if not in_background:
        assert {a.status_code for a in answers.values()} == {200}
        assert "0xBAD" not in answers["liar"].text
    assert len(desk.swaps) == (0 if in_background else 1)  # where hooks can stop nothing, nothing is done
