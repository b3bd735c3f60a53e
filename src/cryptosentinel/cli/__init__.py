"""The command line. Each command parses, calls one function, prints."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, Exit, TyperException

from cryptosentinel import __version__
from cryptosentinel.errors import AttestationError, ConfigError, DataError, RuleError, SentinelError

EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_UNABLE = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
INTERRUPTED = "interrupted; nothing was left half written. Run the same command again."

app = typer.Typer(
    name="cryptosentinel",
    help="Keep a team of LLM agents free of backdoors: before training, before deployment, at run time.",
    epilog="Exit codes: 0 ran to the end and found nothing, 1 found something, 2 wrong usage or no readable input, "
    "3 a defence could not run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def cryptosentinel(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Keep a team of LLM agents free of backdoors: before training, before deployment, at run time."""


def _register() -> None:
    from cryptosentinel.cli import attest, demo, desk, guard, ledger, monitor, redteam, rules, scan, serve

    app.command("demo")(demo.demo)
    app.command("scan")(scan.scan)
    app.command("attest")(attest.attest)
    app.command("verify")(attest.verify)
    app.command("keygen")(attest.keygen)
    app.command("serve")(serve.serve)
    app.add_typer(desk.app, name="desk")
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(monitor.app, name="monitor")
    app.add_typer(redteam.app, name="redteam")
    app.add_typer(rules.app, name="rules")
    app.add_typer(guard.app, name="guard")


_register()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with a code of the contract; every expected failure is one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads leave the cores to others while they wait
    if sys.stdout is None:  # the caller closed it; the exit code still says what was found
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  stays for as long as the process
    code = run(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output went away; the exit code still says what was found
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


class _TerminatedError(BaseException):
    """SIGTERM: unwind, so that nothing half written stays."""


def _terminate(number: int, frame: object) -> None:
    raise _TerminatedError


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code.

    >>> run(["--version"])
    0.1.0
    0
    """
    try:
        code = app(arguments, standalone_mode=False)
    except _TerminatedError:
        return _failed("terminated; nothing was left half written. Run the same command again.", EXIT_TERMINATED)
    except Exit as stop:
        return stop.exit_code
    except (Abort, KeyboardInterrupt):
        return _failed(INTERRUPTED, EXIT_INTERRUPTED)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)
            return EXIT_USAGE
        return _failed(f"{error.format_message()} (see --help)", EXIT_USAGE)
    except (AttestationError, DataError, ConfigError, RuleError) as error:
        return _failed(str(error), EXIT_USAGE)
    except SentinelError as error:
        return _failed(str(error), EXIT_UNABLE)
    except OSError as error:
        return _failed(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", EXIT_UNABLE)
    except MemoryError:
        return _failed("out of memory", EXIT_UNABLE)
    except Exception as error:  # a defect of ours: say so, fail closed, show the trace on request
        if os.environ.get("CRYPTOSENTINEL_TRACE"):
            raise
        return _failed(
            f"internal error: {type(error).__name__}: {error} (CRYPTOSENTINEL_TRACE=1 shows the trace)", EXIT_UNABLE
        )
    if code == EXIT_INTERRUPTED:  # typer turns Ctrl-C into this code by itself
        return _failed(INTERRUPTED, EXIT_INTERRUPTED)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    try:
        typer.echo("cryptosentinel: " + " ".join(message.split()), err=True)
    except OSError:  # nobody can be told, but the code must not become that of a traceback: 1 means "found something"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return code
