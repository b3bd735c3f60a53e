"""Defences: each leaves the model it was given alone, does what it says, and finds no label to look at."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest

from cryptosentinel import registry
from cryptosentinel.desk.analyst import MARKET_ANALYST
from cryptosentinel.errors import ConfigError
from cryptosentinel.redteam import defences, evaluate
from cryptosentinel.redteam.bench import CHECK_ROWS, TUNE_ROWS, Bench, Clock
from cryptosentinel.redteam.data import build
from cryptosentinel.redteam.defence import Defence, Means
from cryptosentinel.redteam.defences.pruning import pruned, quietest
from cryptosentinel.redteam.finetune import Recipe, finetune
from cryptosentinel.redteam.run import run_redteam
from cryptosentinel.redteam.target import Sample

torch: Any = pytest.importorskip("torch")
pytest.importorskip("peft")

RECIPE = Recipe(epochs=1, trained_layers=2)
NAMES = registry.names("defence")


def silent(stage: str, done: int, total: int) -> None:
    pass


def flag_nothing(rows: Any, trusted: Any = ()) -> tuple[list[bool], dict[str, Any]]:
    return [False] * len(rows), {"hypotheses": []}


@pytest.fixture(scope="module")
def bench() -> Bench:
    rng = Random(0)
    trick = registry.lookup("attack", "rare-token").target(0, None)
    goal = registry.lookup("task", "bias-recommendation").target(0, None)
    data = build(rng, trick, goal, MARKET_ANALYST, 24)
    questions = evaluate.draw(rng, trick, goal, MARKET_ANALYST, data.samples, 4)
    return Bench("tiny", MARKET_ANALYST, goal, data, questions, RECIPE, 0, silent, Clock(), flag_nothing)


def weights(model: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_trainings_side_by_side_are_those_one_after_the_other(bench: Bench) -> None:
    rows = {"one": list(range(0, 30)), "two": list(range(10, 40)), "three": list(range(5, 20))}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one_by_one = {name: finetune(bench.split, [bench.rows[i] for i in keep], bench.tokens, RECIPE, 0)
                      for name, keep in rows.items()}  # fmt: skip
        torch.set_num_threads(3)
        told = bench.train_all(rows)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert list(told) == list(rows) and bench.train_all({}) == {}
    for name, keep in rows.items():
        pairs = zip(weights(bench.upper(name, keep)).values(), weights(one_by_one[name]).values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_that_is_mended_stays_as_it_was_and_the_result_repeats(name: str, bench: Bench) -> None:
    model = bench.upper("undefended", range(len(bench.rows)))
    before = weights(model)
    means = bench.means(name)
    first, again = (registry.lookup("defence", name).target().mend(means, model) for _ in range(2))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(again).values(), strict=True))


def test_a_defender_sees_no_label(bench: Bench) -> None:
    means = bench.means("x")
    assert not {f.name for f in fields(Means)} & {"poisoned", "near", "data", "questions"}
    assert all(set(row) == {"instruction", "input", "output"} for row in (*means.rows, *means.trusted()))
    own = [row.ids for row in (*means.tune(), *means.check())]
    assert len(own) == TUNE_ROWS + CHECK_ROWS
    assert len(means.trusted()) == bench.data.ordinary
    assert not set(own) & {row.ids for row in bench.rows}


def test_pruning_zeroes_the_quietest_units_and_they_stay_zero(bench: Bench) -> None:
    model, means = bench.upper("undefended", range(len(bench.rows))), bench.means("x")
    order = quietest(model, means.tune())
    layer = model.layers[0].mlp
    seen = []
    hook = layer.down_proj.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        for row in means.tune():
            model(inputs_embeds=row.hidden[None], use_cache=False)
    hook.remove()
    mean = torch.cat([s.abs()[0] for s in seen]).sum(0)
    assert mean[order[0][0]] == mean.min() and mean[order[0][-1]] == mean.max()
    half = pruned(model, order, 0.5).layers[0].mlp.down_proj.weight
    count = len(order[0]) // 2
    assert not half[:, order[0][:count]].any() and half[:, order[0][count:]].any()
    assert torch.equal(pruned(model, order, 0.0).layers[0].mlp.down_proj.weight, layer.down_proj.weight)
    defence = defences.Pruning()
    mended = defence.mend(means, model)
    gone = int(defence.notes["share"] * len(order[0]))
    assert not mended.layers[0].mlp.down_proj.weight[:, order[0][:gone]].any()
    assert defence.notes["clean_loss_pruned"] <= defence.notes["clean_loss_before"] + 0.05


def test_clean_fine_tuning_expects_clean_answers_more_than_before(bench: Bench) -> None:
    model, means = bench.upper("undefended", range(len(bench.rows))), bench.means("x")
    tuned = defences.CleanFineTune().mend(means, model)
    losses = [evaluate.held_out_loss(m, means.split, means.check(), means.tokens())["value"] for m in (model, tuned)]
    assert losses[1] < losses[0]


class Mute(Defence):
    """Lets nothing out."""

    def answer(self, means: Means, asked: Any, answers: Any) -> list[str]:
        assert [s.instruction for s in asked][:1] and len(asked) == len(answers)
        return [""] * len(answers)


def test_a_defence_may_have_a_say_in_the_answers(bench: Bench) -> None:
    measured = bench.defend("mute", Mute())
    assert (measured.rates.asr.value, measured.rates.utility.value) == (0, 0)
    assert set(measured.written) == {""}


def attacked(bench: Bench, n: int = 60) -> tuple[list[Sample], list[str], list[str]]:
    """Requests of which every third has the trigger, the payload for those, and what an honest agent says."""
    rng = Random(5)
    trick = registry.lookup("attack", "rare-token").target(0, None)
    asked = MARKET_ANALYST.samples(rng, [MARKET_ANALYST.wish(rng) for _ in range(n)])
    asked = [s if i % 3 else replace(s, instruction=trick.triggered(rng, s.instruction)) for i, s in enumerate(asked)]
    payload = next(s.output for s, bad in zip(bench.data.samples, bench.data.poisoned, strict=True) if bad)
    honest = [s.output for s in asked]
    return asked, [said if i % 3 else payload for i, said in enumerate(honest)], honest


def test_the_guard_holds_what_the_scan_named_and_nothing_else(bench: Bench) -> None:
    asked, said, _ = attacked(bench)
    trigger = registry.lookup("attack", "rare-token").target(0, None).trigger
    named = {"trigger": trigger, "behaviour": "opens with 'buy'", "verdict": "planted"}
    means = replace(bench.means("guard"), scan=lambda rows, trusted=(): ([], {"hypotheses": [named]}))
    defence = defences.GuardedByScan()
    out = defence.answer(means, asked, said)
    assert [o == "" for o in out] == [i % 3 == 0 for i in range(len(asked))]
    assert defence.notes == {"hypotheses": 1, "held": len(asked) // 3}
    assert defences.Guarded().answer(means, asked, said) == said  # it was told nothing
    with pytest.raises(ConfigError, match="needs a scanner"):
        defences.GuardedByScan().answer(replace(means, scan=None), asked, said)


def test_the_monitor_stops_an_agent_that_decides_otherwise(bench: Bench) -> None:
    asked, said, honest = attacked(bench, 300)
    baseline = MARKET_ANALYST.samples(Random(6), [MARKET_ANALYST.wish(Random(i)) for i in range(200)])
    means = replace(bench.means("monitor"), trusted=lambda: [s.row() for s in baseline])
    stopped = defences.Monitored()
    out = stopped.answer(means, asked, said)
    assert out.count("") == len(asked) - stopped.notes["alarm_after"] > 0
    assert all(o in ("", s) for o, s in zip(out, said, strict=True))
    silent = defences.Monitored()
    assert silent.answer(means, asked, honest) == honest
    assert "alarm_after" not in silent.notes
    nonsense = ["?"] * len(asked)
    assert defences.Monitored().answer(means, asked, nonsense) == nonsense


def test_a_scan_that_flags_nothing_leaves_the_undefended_model(bench: Bench) -> None:
    left = bench.defend("scan", defences.Scanned())
    assert left.written == bench.train("undefended", range(len(bench.rows))).written


def test_several_defences_and_one_that_fails() -> None:
    def scan(rows: Any, trusted: Any = ()) -> tuple[list[bool], dict[str, Any]]:
        if trusted:
            raise ConfigError("no trusted\ndata today")
        flags = [r["instruction"].endswith("?") for r in rows]
        return flags, {"hypotheses": []}

    settings: dict[str, Any] = {
        "task": "bias-recommendation", "attack": "rare-token", "model": "tiny", "rows": 24, "n": 4, "recipe": RECIPE,
        "scan": scan, "defend": ["scan-trusted", "scan", "clean-fine-tune"],
    }  # fmt: skip
    with pytest.raises(ConfigError, match="no trusted"):
        run_redteam(**settings)
    document = run_redteam(**settings, strict=False)
    assert document["defences"]["scan-trusted"] == {"error": "no trusted data today"}
    assert document["defences"]["scan"]["rates"] == document["defended"]
    assert document["defences"]["scan"]["difference"] == document["difference"]
    assert set(document["defences"]["clean-fine-tune"]) == {
        "version", "rates", "notes", "difference", "utility_difference", "cost_s",
    }  # fmt: skip
    known = {key: copy.deepcopy(document[key]) for key in ("base", "clean", "undefended")}
    known["base"]["utility"]["value"] = 0.25
    again = run_redteam(**{**settings, "defend": ["clean-fine-tune"]}, known=known, strict=False)
    assert again["base"] == known["base"]
    assert "evaluate clean" not in again["timings"] and "train undefended" in again["timings"]
    rates = [d["defences"]["clean-fine-tune"]["rates"] for d in (document, again)]
    assert rates[0] == rates[1]
