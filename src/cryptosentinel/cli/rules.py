"""`cryptosentinel rules`: look at a rule file before a guard runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_USAGE = 2

app = typer.Typer(help="The operator's rules for what agents may do.", no_args_is_help=True)


@app.callback()
def rules() -> None:
    """The operator's rules for what agents may do."""


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.ags", help="The rule file.")],
    tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that the agents have; repeat for all of them, and no rule may name another."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Can a guard run on this rule file? Every problem in it is shown, with its line and a caret.

    Exit code 0: it can. 2: something in it is wrong, or it is missing or has no rule.

    A file such as

    \b
      # A person looks at every large swap, and at the third one in ten minutes.
      rule @large-trade
      trigger execute_swap
      check is_large_trade(1_000, amount=arg.amount_in) or count(within=10m) >= 3
      enforce user_inspection
      end

    is checked by: cryptosentinel rules check rules.ags
    """  # noqa: D301  a real backspace keeps the example's lines apart
    from cryptosentinel.agentspec.book import RuleBook, described
    from cryptosentinel.agentspec.problems import RulesError
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.registry import load_third_party

    load_third_party()
    try:
        book = RuleBook.load(file, tool or ())
    except RulesError as error:
        if as_json:
            emit_json({"kind": "rules", "file": str(file), "problems": [p.as_dict() for p in error.problems]})
        else:
            count = len(error.problems)
            typer.echo(f"{error.show()}\n{file}: {count} problem{'s' if count > 1 else ''}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    found = [described(rule) for rule in book.rules]
    if as_json:
        emit_json({"kind": "rules", "file": str(file), "sha256": book.sha256, "rules": found, "problems": []})
        return
    emit(f"@{r['id']}: {', '.join(r['triggers'])} -> {', '.join(r['enforce'])}" for r in found)
    emit([f"{file}: {len(found)} rule{'s' if len(found) > 1 else ''}, no problem"])
    if facts := sorted({fact for r in found for fact in r["facts"]}):
        emit([f"the operator hands in: {', '.join(facts)}"])
