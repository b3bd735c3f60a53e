"""A real Trainer with a tiny model trains on attested data, and on no other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.adapters import training
from cryptosentinel.datasets import read_rows
from cryptosentinel.errors import AttestationError, ConfigError, DataError, MissingExtraError
from cryptosentinel.models import load_base
from cryptosentinel.services.attest import attest
from cryptosentinel.services.keys import new_key_pair
from cryptosentinel.services.scan import scan_dataset
from cryptosentinel.types import Record

torch: Any = pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    return new_key_pair(tmp_path / "key")


@pytest.fixture
def data(tmp_path: Path, public: Path) -> Path:
    """An attested file; the words of its rows are all different."""
    path = tmp_path / "train.jsonl"
    rows = [{"prompt": f"What is p{i}?", "completion": f"It is q{7 * i}."} for i in range(40)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    report = scan_dataset([path], out=tmp_path / "report", reference_model="none")
    assert not report.found
    attest(path, tmp_path / "report", tmp_path / "key")
    return path


@pytest.fixture
def trainer(tmp_path: Path, data: Path) -> Callable[..., Any]:
    """trainer(callback): two steps over the rows of the file."""

    def make(callback: Any) -> Any:
        base = load_base("tiny")
        texts = [f"{r.prompt} {r.response}" for _, r in read_rows([data]) if isinstance(r, Record)]
        ids = [base.tokenizer(text).input_ids[:24] for text in texts]
        args = transformers.TrainingArguments(
            output_dir=str(tmp_path / "model"), max_steps=2, per_device_train_batch_size=1, report_to=[],
            save_strategy="no", logging_strategy="no", use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        rows = [{"input_ids": torch.tensor(i), "labels": torch.tensor(i)} for i in ids]
        return transformers.Trainer(model=base.model, args=args, train_dataset=rows, callbacks=[callback])

    return make


def weights(trainer: Any) -> Any:
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])


def test_attested_data_is_trained_on(data: Path, public: Path, trainer: Callable[..., Any]) -> None:
    callback = training.AttestedDataCallback(data, public_key=public)
    assert isinstance(callback, transformers.TrainerCallback)
    running = trainer(callback)
    before = weights(running)
    assert running.train().global_step == 2
    assert not torch.equal(weights(running), before)
    assert [bool(v) for v in callback.verified] == [True]


def test_data_changed_before_training_begins_changes_no_weight(
    data: Path, public: Path, trainer: Callable[..., Any]
) -> None:
    running = trainer(training.AttestedDataCallback([data], public_key=public))
    before = weights(running)
    data.write_bytes(data.read_bytes().replace(b"q7", b"q8"))
    with pytest.raises(AttestationError, match=r"refused: .*train\.jsonl: not the data that was attested"):
        running.train()
    assert running.state.global_step == 0
    assert torch.equal(weights(running), before)


def test_a_refusal_comes_before_there_is_a_trainer(data: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYPTOSENTINEL_PUBLIC_KEY", raising=False)
    monkeypatch.chdir(data.parent)
    make = training.AttestedDataCallback
    other = data.with_name("other.jsonl")
    other.write_bytes(data.read_bytes())
    with pytest.raises(AttestationError, match="no such attestation"):
        make([data, other], public_key=public)
    assert len(make([data, str(other)], public, data.with_name("train.jsonl.attestation.json")).verified) == 2
    with pytest.raises(DataError, match="no such file"):
        make([data.with_name("gone.jsonl")], public_key=public)
    with pytest.raises(ConfigError, match="at least one path"):
        make([], public_key=public)
    with pytest.raises(ConfigError, match="no public key"):
        make(data)
    monkeypatch.setenv("CRYPTOSENTINEL_PUBLIC_KEY", str(public))
    assert make(data).verified


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    training._callback.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'cryptosentinel\[redteam\]'"):
        training.AttestedDataCallback  # noqa: B018
    with pytest.raises(AttributeError, match="Attested"):
        training.Attested  # noqa: B018
