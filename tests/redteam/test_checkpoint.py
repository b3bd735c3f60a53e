"""A training that was interrupted ends as if it had not been; another's checkpoint is refused, a damaged one left."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, ModelIntegrityError, SandboxError
from cryptosentinel.models import ARTEFACT_MARKER, load_base
from cryptosentinel.redteam.checkpoint import FILE
from cryptosentinel.redteam.finetune import Recipe, finetune, vocabulary
from cryptosentinel.redteam.sandbox import mark_artefact
from cryptosentinel.redteam.split import Split

torch: Any = pytest.importorskip("torch")
pytest.importorskip("peft")

RECIPE = Recipe(epochs=4, batch=2, trained_layers=2, sampled_vocabulary=40)
PAIRS = [("ask a:", "yes"), ("ask b:", "no way"), ("a longer ask c:", "maybe"), ("d:", "later"), ("e e:", "never")]
STEPS = 12


class Power(Exception):  # noqa: N818
    """It fails."""


@pytest.fixture(scope="module")
def split() -> Split:
    return Split(load_base("tiny"), RECIPE.trained_layers)


@pytest.fixture(autouse=True)
def sandbox_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a sandbox without its walls."""
    mark_artefact(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(split: Split, *, recipe: Recipe = RECIPE, seed: int = 0, pairs: Any = PAIRS, **options: Any) -> Any:
    tokens = vocabulary(split, [answer for _, answer in PAIRS], RECIPE, seed=0)
    return finetune(split, split.encode(pairs), tokens, recipe, seed, **options)


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def cut_at(step: int) -> Any:
    """A listener that ends the training after so many steps."""

    def hear(stage: str, done: int, total: int) -> None:
        assert total == STEPS
        if done == step:
            raise Power

    return hear


@pytest.mark.parametrize("seed", range(4))
def test_interrupted_at_any_step_it_ends_with_the_same_weights(split: Split, seed: int, sandbox_folder: Path) -> None:
    rng = Random(seed)
    whole, every = train(split, seed=seed), rng.randint(1, 5)
    for step in sorted(rng.sample(range(1, STEPS), 3)):
        with pytest.raises(Power):
            train(split, seed=seed, progress=cut_at(step), checkpoint=sandbox_folder / "point", every=every)
    heard: list[int] = []
    point = sandbox_folder / "point"
    resumed = train(split, seed=seed, progress=lambda _, k, __: heard.append(k), checkpoint=point, every=every)
    assert same(resumed, whole)
    assert heard == list(range(step - step % every + 1, STEPS + 1))  # what was kept is not done again


def test_a_training_that_is_over_is_taken_as_it_is(split: Split, sandbox_folder: Path) -> None:
    whole = train(split, checkpoint=sandbox_folder / "point")
    heard: list[int] = []
    again = train(split, checkpoint=sandbox_folder / "point", progress=lambda _, done, __: heard.append(done))
    assert same(whole, again)
    assert heard == []


def test_going_on_from_another_model_is_another_training(split: Split, sandbox_folder: Path) -> None:
    first = train(split, checkpoint=sandbox_folder / "point")
    kept = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    further = train(split, start=first)
    assert not same(first, further)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in first.state_dict().items())
    with pytest.raises(ConfigError, match=r"another training \(by weights\): delete it"):
        train(split, start=first, checkpoint=sandbox_folder / "point")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "by seed"),
        ({"recipe": replace(RECIPE, rank=4)}, "by recipe"),
        ({"recipe": replace(RECIPE, epochs=5), "seed": 7}, "by recipe, seed"),
        ({"pairs": PAIRS[:4]}, "by rows"),
        ({"pairs": [*PAIRS[:4], ("e e:", "nevel")]}, "by rows"),
        ({"pairs": PAIRS[::-1]}, "by rows"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(
    split: Split, changes: dict[str, Any], message: str, sandbox_folder: Path
) -> None:
    with pytest.raises(Power):
        train(split, progress=cut_at(3), checkpoint=sandbox_folder / "point", every=2)
    before = (sandbox_folder / "point" / FILE).read_bytes()
    with pytest.raises(ConfigError, match=rf"another training \({message}\): delete it"):
        train(split, checkpoint=sandbox_folder / "point", **changes)
    assert (sandbox_folder / "point" / FILE).read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "cut", "one byte less", "flipped", "text", "a folder"])
def test_a_damaged_checkpoint_is_left_with_a_warning(split: Split, damage: str, sandbox_folder: Path) -> None:
    with pytest.raises(Power):
        train(split, progress=cut_at(5), checkpoint=sandbox_folder / "point", every=2)
    path = sandbox_folder / "point" / FILE
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-1000] ^= 1
    halves = {"empty": b"", "cut": content[: len(content) // 2], "one byte less": content[:-1]}
    path.write_bytes((halves | {"flipped": bytes(flipped)}).get(damage, b"not tensors at all"))
    if damage == "a folder":  # nothing can be kept there: said, not passed over
        path.unlink()
        path.mkdir()
        with pytest.warns(UserWarning, match="is damaged"), pytest.raises(OSError, match=FILE):
            train(split, checkpoint=sandbox_folder / "point", every=2)
        return
    with pytest.warns(UserWarning, match=f"{FILE} is damaged .*: the training starts anew"):
        resumed = train(split, checkpoint=sandbox_folder / "point", every=2)
    assert same(resumed, train(split))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and what stands there now is whole
        train(split, checkpoint=sandbox_folder / "point")


def test_it_is_marked_and_nothing_else_stays(split: Split, sandbox_folder: Path) -> None:
    with pytest.raises(Power):
        train(split, progress=cut_at(5), checkpoint=sandbox_folder / "point", every=1)
    assert sorted(p.name for p in (sandbox_folder / "point").iterdir()) == sorted([ARTEFACT_MARKER, FILE])
    with pytest.raises(ModelIntegrityError, match=ARTEFACT_MARKER):
        load_base(str(sandbox_folder / "point"))


def test_it_lies_in_the_sandbox_only(
    split: Split, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, sandbox_folder: Path
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (sandbox_folder / "way-out").symlink_to(outside)
    for folder in (outside, sandbox_folder / "way-out" / "in", sandbox_folder / ".." / "beside"):
        with pytest.raises(SandboxError, match="in the sandbox's own folder"):
            train(split, checkpoint=folder)
    monkeypatch.chdir(outside)
    with pytest.raises(SandboxError, match="in the sandbox's own folder"):
        train(split, checkpoint=outside / "point")
    assert list(outside.iterdir()) == []


def test_never_is_no_rhythm(split: Split, sandbox_folder: Path) -> None:
    with pytest.raises(ConfigError, match="every 1 or more steps, got 0"):
        train(split, checkpoint=sandbox_folder / "point", every=0)
