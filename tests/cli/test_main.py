"""The command line itself: help, version, unknown commands, and what becomes of each kind of error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer

from cryptosentinel import __version__, cli
from cryptosentinel.errors import (
    ConfigError,
    DataError,
    JudgeError,
    LedgerError,
    MissingExtraError,
    ModelIntegrityError,
    RuleError,
    SandboxError,
)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """A command that raises what the test puts into the list."""
    raised: list[BaseException] = []
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise raised[0]

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.delenv("CRYPTOSENTINEL_TRACE", raising=False)
    yield raised


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("a.jsonl: no rows"), 2, "a.jsonl: no rows"),
        (ConfigError("n must be at least 1, got 0"), 2, "n must be at least 1, got 0"),
        (RuleError("unknown predicate", 3, 9), 2, "line 3, column 9: unknown predicate"),
        (MissingExtraError("torch", "redteam", "this"), 3, "this needs torch: pip install 'cryptosentinel[redteam]'"),
        (ModelIntegrityError("wrong hash"), 3, "wrong hash"),
        (SandboxError("no namespace"), 3, "no namespace"),
        (JudgeError("timed out"), 3, "timed out"),
        (LedgerError("chain broken"), 3, "chain broken"),
        (OSError(28, "No space left on device", "/out/a"), 3, "No space left on device: /out/a"),
        (OSError("odd"), 3, "odd"),
        (MemoryError(), 3, "out of memory"),
        (KeyboardInterrupt(), 130, cli.INTERRUPTED),
        (ZeroDivisionError("by\nzero"), 3, "internal error: ZeroDivisionError: by zero (CRYPTOSENTINEL_TRACE=1"),
    ],
)
def test_every_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    message: str,
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing.append(error)
    assert cli.run([]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"cryptosentinel: {message}")
    assert printed.err.count("\n") == 1


def test_a_defect_shows_its_trace_on_request(failing: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    failing.append(ZeroDivisionError("by zero"))
    monkeypatch.setenv("CRYPTOSENTINEL_TRACE", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run([])


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert cli.run(["--help"]) == 0
    assert "Exit codes: 0 ran to the end and found nothing" in capsys.readouterr().out
    assert cli.run(["scan", "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--out", "--trusted", "--fpr", "--reference-model", "--json"):
        assert option in said


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "Usage"), (["scam"], "No such command 'scam'"), (["scan"], "Missing argument")]
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
