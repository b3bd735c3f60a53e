"""A campaign around its steps: what is kept when it breaks off, who judges stealth, what a judge adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, DataError, JudgeError
from cryptosentinel.ledger import Ledger
from cryptosentinel.llm import LocalReference, ScriptedAsker
from cryptosentinel.metrics import wilson
from cryptosentinel.redteam.agent import Campaign
from cryptosentinel.redteam.planner import plan
from cryptosentinel.redteam.steps import Scope
from cryptosentinel.redteam.transcript import campaigns, read
from cryptosentinel.services import campaign as service
from cryptosentinel.services.campaign import reference, run_campaign

SCOPE = Scope(model="tiny", rows=30, n=10, rounds=1)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = wilson(10, 10).as_dict()
    rates = dict.fromkeys(("asr", "untriggered", "topic_without_trigger", "utility"), rate)
    document = {"kind": "redteam", "clean": rates, "undefended": rates}
    monkeypatch.setattr(service, "red_team", lambda **job: dict(document))


def test_a_campaign_that_is_interrupted_is_kept_up_to_there(tmp_path: Path) -> None:
    def drive(campaign: Campaign) -> None:
        campaign.call("propose_trigger", {"attack": "date"})
        raise KeyboardInterrupt

    ledger = Ledger.open(tmp_path / "ledger.db")
    with pytest.raises(KeyboardInterrupt):
        run_campaign(SCOPE, drive, driver="somebody", ledger=ledger, out=tmp_path / "out")
    (recorded,) = campaigns(ledger)
    assert (recorded.status, recorded.outcome["steps"]) == ("interrupted", 1)
    assert [s.tool for s in read(ledger, recorded.run).steps] == ["propose_trigger"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_step_is_in_the_ledger_before_its_result_is_known_to_the_driver(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")

    def drive(campaign: Campaign) -> None:
        for number, tool in enumerate(("evaluate", "reflect"), 1):
            campaign.call(tool)
            assert sum(1 for _ in ledger.entries("event")) == number
        plan(campaign)

    run_campaign(SCOPE, drive, driver="somebody", ledger=ledger)
    assert ledger.verify().ok


def test_a_driver_that_does_nothing_or_finds_nothing(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="the campaign evaluated nothing in 1 steps"):
        run_campaign(SCOPE, lambda campaign: None, driver="somebody")
    with pytest.raises(DataError, match="the campaign evaluated nothing"):
        run_campaign(SCOPE, lambda campaign: None, driver="planner")


def test_what_was_trained_is_reported_also_without_asking_for_it() -> None:
    def drive(campaign: Campaign) -> None:
        campaign.call("propose_trigger", {"attack": "semantic"})
        campaign.call("build_poison", {"count": 9})
        campaign.call("reflect")
        campaign.call("fine_tune")

    document = run_campaign(SCOPE, drive, driver="somebody")
    assert document["campaign"]["goal_reached"] is True
    assert document["campaign"]["run"] == ""


def test_a_judge_adds_its_rating() -> None:
    def say(messages: Any) -> str:
        code = messages[-1].text.rpartition('"code": "')[2].partition('"')[0]
        return json.dumps({"rating": 3, "code": code})

    document = run_campaign(SCOPE, plan, driver="planner", judge=ScriptedAsker(say))
    assert document["stealth"]["rating"]["poisoned"]["mean"] == 3.0
    assert document["stealth"]["rating"]["clean"]["mean"] == 3.0
    json.dumps(document, allow_nan=False)


def test_who_judges_stealth() -> None:
    assert reference(SCOPE) is None  # the tiny model knows nothing
    assert reference(Scope(model="tiny", reflection="none")) is None
    with pytest.raises(ConfigError, match="unknown model 'no-such-model'"):
        reference(Scope(model="tiny", reflection="no-such-model"))


def test_the_model_that_is_attacked_judges_stealth_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "prepared", lambda name, *_: name)
    judge = reference(Scope(model="somewhere/some-model"))
    assert isinstance(judge, LocalReference)
    assert judge.name == "somewhere/some-model"
