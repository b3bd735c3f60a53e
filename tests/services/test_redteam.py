"""The red-team service: bad settings fail before anything is trained, and say what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.models import TINY
from cryptosentinel.services import redteam
from cryptosentinel.services.redteam import prepared, red_team


def attack(**changes: Any) -> dict[str, Any]:
    return red_team(**{"task": "bias-recommendation", "attack": "semantic", "model": TINY} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"defend": ["prayer"]},
            r"^unknown defence 'prayer' \(known: clean-fine-tune, guard, .*, scan, scan-trusted\)$",
        ),
        ({"rows": 3}, r"^rows must be at least 20, got 3$"),
        ({"sandbox": "none"}, "unknown isolation 'none'"),
        ({"model": "no-such-model"}, "unknown model 'no-such-model'"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        attack(**changes)


def test_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="file must be a folder"):
        attack(out=tmp_path / "file")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redteam, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs torch: pip install 'cryptosentinel\[redteam\]'"):
        attack(model="gemma-3-270m")


def test_a_model_folder_becomes_absolute_since_the_sandbox_stands_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[str, int, int]] = []
    assert prepared("mine", lambda *step: seen.append(step)) == str((tmp_path / "mine").resolve())
    assert seen == [("prepare the model", 0, 1), ("prepare the model", 1, 1)]
