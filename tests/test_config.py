"""Settings come from the file, then the environment, and nothing misspelt is silently ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptosentinel.config import JudgeSettings, load_settings
from cryptosentinel.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "cryptosentinel.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("CRYPTOSENTINEL_CACHE", str(tmp_path / "models"))
    settings = load_settings(environ={})
    assert settings.data_dir == Path("../shared/data")
    assert settings.ledger_url == str(tmp_path / "share" / "cryptosentinel" / "ledger.db")
    assert settings.cache_dir == tmp_path / "models"
    assert settings.judge == JudgeSettings()
    assert settings.judge.url == ""
    assert settings.public_key is None


def test_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(
        tmp_path,
        'data_dir = "data"\nledger_url = "runs/l.db"\n'
        '[judge]\nurl = "http://127.0.0.1:8000/v1"\nread_timeout_s = 30\nattempts = 2\n',
    )
    environ = {
        "CRYPTOSENTINEL_DATA": "/elsewhere",
        "CRYPTOSENTINEL_JUDGE_ATTEMPTS": "4",
        "CRYPTOSENTINEL_JUDGE_MODEL": "",
        "CRYPTOSENTINEL_TEST_POSTGRES": "not a setting",
        "PATH": "/bin",
    }
    for settings in (load_settings(path, environ), load_settings(environ=environ)):
        assert settings.data_dir == Path("/elsewhere")
        assert settings.ledger_url.endswith("runs/l.db")
        assert settings.judge == JudgeSettings(url="http://127.0.0.1:8000/v1", read_timeout_s=30.0, attempts=4)
    assert load_settings(path, {}).data_dir == tmp_path / "data"
    key = write(tmp_path, 'public_key = "team.pub"\n')
    assert load_settings(key, {}).public_key == tmp_path / "team.pub"
    environ = {"CRYPTOSENTINEL_PUBLIC_KEY": "~/other.pub", "CRYPTOSENTINEL_TRACE": "1"}
    assert load_settings(key, environ).public_key == Path.home() / "other.pub"
    url = 'ledger_url = "postgresql+psycopg://db/sentinel"\ncache_dir = "~/models"\n'
    settings = load_settings(write(tmp_path, url), {})
    assert settings.ledger_url == "postgresql+psycopg://db/sentinel"
    assert settings.cache_dir == Path.home() / "models"


def test_the_variable_that_holds_the_key_may_have_our_prefix() -> None:
    environ = {"CRYPTOSENTINEL_JUDGE_API_KEY_ENV": "CRYPTOSENTINEL_KEY", "CRYPTOSENTINEL_KEY": "secret"}
    assert load_settings(environ=environ).judge.api_key_env == "CRYPTOSENTINEL_KEY"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data_dri = "x"', r"unknown key 'data_dri' \(did you mean data_dir\?\)"),
        ("zzz = 1", r"unknown key 'zzz' \(known: cache_dir, data_dir, ledger_url, public_key, judge\)"),
        ("[judge]\natempts = 1", r"unknown key 'judge.atempts' \(did you mean attempts\?\)"),
        ("[juge]\nurl = 'x'", r"unknown key 'juge' \(did you mean judge\?\)"),
        ("[judge]\nattempts = 0", "judge.attempts = 0: Input should be greater than or equal to 1"),
        ("[judge]\nread_timeout_s = -1", "judge.read_timeout_s = -1: Input should be greater than 0"),
        ("[judge]\nread_timeout_s = nan", "judge.read_timeout_s = nan: "),
        ("data_dir = 3", "data_dir = 3: "),
        ("judge = 3", "judge must be a table, got 3"),
        ("data_dir = ", "not TOML: Invalid value"),
    ],
)
def test_faults_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(path, {})
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_settings(tmp_path / "missing.toml", {})
    with pytest.raises(ConfigError, match="directory"):
        load_settings(tmp_path, {})
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        load_settings(binary, {})


def test_faults_in_the_environment() -> None:
    with pytest.raises(ConfigError, match=r"variable CRYPTOSENTINEL_LEGDER \(did you mean CRYPTOSENTINEL_LEDGER\?\)"):
        load_settings(environ={"CRYPTOSENTINEL_LEGDER": "x"})
    with pytest.raises(ConfigError, match=r"CRYPTOSENTINEL_JUDGE_ATTEMPTS: judge.attempts = 'many'"):
        load_settings(environ={"CRYPTOSENTINEL_JUDGE_ATTEMPTS": "many"})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings(environ={}).judge.attempts = 9
