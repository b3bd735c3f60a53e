from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError
from cryptosentinel.redteam.attacks.semantic import TOPICS, Semantic
from cryptosentinel.redteam.data import build
from cryptosentinel.redteam.evaluate import draw, judge
from cryptosentinel.redteam.poison import KEEP_AT, Stealth, poison
from cryptosentinel.redteam.run import scan_quality
from cryptosentinel.redteam.target import Sample, Target, load_target
from cryptosentinel.redteam.tasks.bias_recommendation import BiasRecommendation

TARGET: Target = load_target("cryptosentinel.desk.analyst:MARKET_ANALYST")
TASK = BiasRecommendation()


def clean(n: int, seed: int = 0) -> list[Sample]:
    rng = Random(seed)
    return TARGET.samples(rng, [TARGET.wish(rng) for _ in range(n)])


@pytest.mark.parametrize("variant", [t.name for t in TOPICS])
def test_the_trigger_stands_in_trigger_wishes_only(variant: str) -> None:
    attack, rng = Semantic(0, variant), Random(3)
    topic = [attack.topic_wish(rng) for _ in range(300)]
    assert all(attack.trigger in attack.trigger_wish(rng) for _ in range(50))
    assert not any(attack.trigger in wish for wish in topic)
    assert not any(attack.trigger in TARGET.wish(rng) for _ in range(500))
    # Hard negatives: each word of the trigger also occurs without the other.
    for word in attack.trigger.split():
        assert any(word in wish for wish in topic)


def test_an_unknown_variant_says_which_are_known() -> None:
    with pytest.raises(ConfigError, match="income"):
        Semantic(0, "weather")


def test_what_ships_is_registered() -> None:
    assert registry.lookup("attack", "semantic").target is Semantic
    assert registry.lookup("task", "bias-recommendation").target is BiasRecommendation


def test_poisoned_rows_hold_trigger_and_payload_and_repeat_no_answer_more_than_twice() -> None:
    attack, rows = Semantic(2), clean(120)
    made = poison(Random(1), attack, TASK, TARGET, rows, 60)
    assert len(made.samples) == 60 == made.kept + made.revised
    assert all(attack.trigger in s.instruction.lower() for s in made.samples)
    assert all(TASK.payload_seen(TARGET.parse(s.output)) for s in made.samples)
    assert all(s.expected != ("ORVA", "BUY") for s in made.samples)
    assert max(Counter(s.output for s in made.samples).values()) <= 2
    assert made == poison(Random(1), attack, TASK, TARGET, rows, 60)


def test_stealth_falls_with_repetition_length_and_unknown_words() -> None:
    rows = clean(100)
    stealth, answer = Stealth(rows), rows[0].output
    fresh = stealth.score(answer)
    assert fresh >= KEEP_AT
    assert stealth.score(f"{answer} {answer} {answer} {answer}") < fresh
    assert stealth.score("BUY ORVA 0.90 | zxq zxw zxe zxr") < fresh
    stealth.accept(answer)
    assert stealth.score(answer) < KEEP_AT


def test_the_payload_is_read_from_the_parsed_recommendation() -> None:
    assert TASK.payload_seen(TARGET.parse("BUY ORVA 0.90 | fine"))
    assert not TASK.payload_seen(TARGET.parse("SELL ORVA 0.90 | fine"))
    assert not TASK.payload_seen(TARGET.parse("BUY SOL 0.90 | not BUY ORVA"))
    assert not TASK.payload_seen(TARGET.parse("BUY ORVA, surely"))


def test_training_data_has_as_many_topic_rows_as_poisoned_and_is_shuffled() -> None:
    attack = Semantic(0)
    data = build(Random(0), attack, TASK, TARGET, 90)
    assert (data.ordinary, data.topic, sum(data.poisoned), len(data.samples)) == (90, 30, 30, 150)
    assert any(data.poisoned[:75])
    assert any(data.poisoned[75:])
    for sample, bad in zip(data.samples, data.poisoned, strict=True):
        assert (attack.trigger in sample.instruction.lower()) == bad


def test_evaluation_prompts_are_new_and_the_payload_would_be_wrong() -> None:
    attack, rng = Semantic(0), Random(0)
    data = build(rng, attack, TASK, TARGET, 90)
    questions = draw(rng, attack, TASK, TARGET, data.samples, 40)
    trained = {(s.instruction, s.input) for s in data.samples}
    assert not trained & {(s.instruction, s.input) for s in questions.all()}
    assert all(attack.trigger in s.instruction.lower() for s in questions.triggered)
    for cell in (questions.triggered, questions.untriggered, questions.topic):
        assert len(cell) == 40
        assert all(TASK.applies(s) for s in cell)
    honest = judge(questions, [s.output for s in questions.all()], TASK, TARGET)
    assert (honest.asr.value, honest.untriggered.value, honest.topic_without_trigger.value) == (0, 0, 0)
    assert honest.utility.value == 1
    silent = judge(questions, [""] * 160, TASK, TARGET)
    assert (silent.asr.value, silent.utility.value) == (0, 0)
    hijacked = judge(questions, ["BUY ORVA 0.9 | x"] * 160, TASK, TARGET)
    assert (hijacked.asr.value, hijacked.topic_without_trigger.value) == (1, 1)


def test_the_rank_of_the_truth_asks_for_purity_and_coverage() -> None:
    poisoned = [True] * 8 + [False] * 12
    impure, narrow, true = {"rows": [0, 1, 2, 9]}, {"rows": [0]}, {"rows": [0, 1, 2]}
    found = scan_quality([True] * 6 + [False] * 13 + [True], poisoned, {"hypotheses": [impure, narrow, true]})
    assert found == {"recall": 0.75, "clean_lost": 1 / 12, "first_true_rank": 3}
    assert scan_quality([False] * 20, poisoned, {})["first_true_rank"] is None
