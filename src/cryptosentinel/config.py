"""The settings of an installation: `cryptosentinel.toml`, overridden by the environment."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cryptosentinel.errors import ConfigError
from cryptosentinel.models import cache_folder

FILE_NAME = "cryptosentinel.toml"
PREFIX = "CRYPTOSENTINEL_"
TEST_PREFIX = "CRYPTOSENTINEL_TEST_"  # what the test suite needs is no setting
TRACE = "CRYPTOSENTINEL_TRACE"  # nor is what the command line shows of a defect
ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "CRYPTOSENTINEL_CACHE": ("cache_dir",),
    "CRYPTOSENTINEL_DATA": ("data_dir",),
    "CRYPTOSENTINEL_LEDGER": ("ledger_url",),
    "CRYPTOSENTINEL_PUBLIC_KEY": ("public_key",),
    "CRYPTOSENTINEL_JUDGE_URL": ("judge", "url"),
    "CRYPTOSENTINEL_JUDGE_MODEL": ("judge", "model"),
    "CRYPTOSENTINEL_JUDGE_API_KEY_ENV": ("judge", "api_key_env"),
    "CRYPTOSENTINEL_JUDGE_CONNECT_TIMEOUT_S": ("judge", "connect_timeout_s"),
    "CRYPTOSENTINEL_JUDGE_READ_TIMEOUT_S": ("judge", "read_timeout_s"),
    "CRYPTOSENTINEL_JUDGE_ATTEMPTS": ("judge", "attempts"),
    "CRYPTOSENTINEL_JUDGE_MAX_QUESTIONS": ("judge", "max_questions"),
}
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class JudgeSettings(BaseModel):
    """Which language model judges, and how long is it waited for?

    `api_key_env` names the environment variable that holds the key, so that no key stands in a file. `max_questions`
    is the budget of one scan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    model: str = ""
    api_key_env: str = ""
    connect_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 60.0
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    max_questions: Annotated[int, Field(ge=1)] = 500


class Settings(BaseModel):
    """Where things are kept and who judges.

    `data_dir` is the evaluation data folder; `ledger_url` a file path or a database URL; `public_key` the PEM file that
    attestations are verified with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache_dir: Path = Field(default_factory=cache_folder)
    data_dir: Path = Path("../shared/data")
    ledger_url: str = Field(default_factory=lambda: str(_state_folder() / "ledger.db"))
    public_key: Path | None = None
    judge: JudgeSettings = JudgeSettings()

    @field_validator("cache_dir", "data_dir", "public_key")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        """A leading ~ is the home folder."""
        return path.expanduser() if path is not None else None


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Which settings hold? Defaults, then the file, then the environment; an empty variable counts as not set.

    Without `path`, `cryptosentinel.toml` in the current folder is read if it is there. Relative paths in the file
    are relative to it.

    Raises:
        ConfigError: the named file is missing or not TOML, a key is unknown (the nearest known one is named), or a
            value is out of range.

    >>> load_settings(environ={"CRYPTOSENTINEL_JUDGE_ATTEMPTS": "5"}).judge.attempts
    5
    """
    environ = os.environ if environ is None else environ
    source = Path(path) if path is not None else Path(FILE_NAME)
    values = _read(source) if path is not None or source.exists() else {}
    origin = {".".join(place): name for name, place in ENVIRONMENT.items() if environ.get(name)}
    for name, place in ENVIRONMENT.items():
        if environ.get(name):
            *tables, key = place
            target = values
            for table in tables:
                target = target.setdefault(table, {})
            target[key] = environ[name]
    key_name = str(values.get("judge", {}).get("api_key_env", ""))
    for name in sorted(environ):
        known = name.startswith(TEST_PREFIX) or name in (*ENVIRONMENT, TRACE, key_name)
        if name.startswith(PREFIX) and not known:
            raise ConfigError(f"unknown environment variable {name}{_nearest(name, ENVIRONMENT)}")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, str(source), origin)) from None


def _read(path: Path) -> dict[str, Any]:
    """The file as nested tables, its folders made absolute."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not TOML: {' '.join(str(error).split())}") from None
    for key in ("cache_dir", "data_dir", "ledger_url", "public_key"):
        if isinstance(values.get(key), str) and "://" not in values[key]:
            values[key] = str(path.parent / Path(values[key]).expanduser())
    if not isinstance(values.get("judge", {}), dict):
        raise ConfigError(f"{path}: judge must be a table, got {values['judge']!r}")
    return values


def _explain(error: ValidationError, source: str, origin: Mapping[str, str]) -> str:
    """The first fault on one line: where it stands, the value, the bound, or the nearest known key."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = JudgeSettings if first["loc"][0] == "judge" and len(first["loc"]) > 1 else Settings
        return f"{source}: unknown key {place!r}{_nearest(str(first['loc'][-1]), model.model_fields)}"
    return f"{origin.get(place, source)}: {place} = {first['input']!r}: {first['msg']}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """Which known name was probably meant? All of them if none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else f" (known: {', '.join(known)})"


def _state_folder() -> Path:
    """Where does this user's lasting data belong?"""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cryptosentinel"
