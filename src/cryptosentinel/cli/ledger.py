"""`cryptosentinel ledger`: is the record whole, a copy of it, and no more of it than has to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_FOUND = 1

app = typer.Typer(help="The record of what happened: is it whole, copy it, prune it.", no_args_is_help=True)
Where = Annotated[str, typer.Argument(metavar="LEDGER", help="A file (SQLite) or a URL (postgresql://...).")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.callback()
def ledger() -> None:
    """The record of what happened: is it whole, copy it, prune it."""


@app.command("verify")
def verify(where: Where, as_json: AsJson = False) -> None:
    """Is every entry where it was put, as it was put?

    Each entry's hash covers the one before it, so nothing can be changed, taken out or put between unseen. That entries
    were cut off at the end shows only against a head that was noted elsewhere: note the one that is printed.

    Exit code 0: it is. 1: it is not. 2: no such ledger. 3: it cannot be read.

    Example: cryptosentinel ledger verify desk.db
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.ledger import verify_ledger

    document = verify_ledger(where)
    if as_json:
        emit_json(document)
    elif document["ok"]:
        pruned = f", {document['pruned']} before them pruned" if document["pruned"] else ""
        emit([f"{document['entries']} entries hold{pruned}; head {document['head']}"])
    else:
        emit([f"broken at entry {document['broken_at']}: {document['reason']}"])
    if not document["ok"]:
        raise typer.Exit(EXIT_FOUND)


@app.command("export")
def export(
    where: Where,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Gets runs, findings, verdicts, events .parquet.")],
    as_json: AsJson = False,
) -> None:
    """Copy a ledger to Parquet files (zstd), one for each kind of entry.

    Every row has the entry's hashes and its body as it was hashed; the main fields have columns of their own. What is
    written while the export runs is the next one's.

    Exit code 0: written. 2: no such ledger. 3: it cannot be read, or the folder not written.

    Example: cryptosentinel ledger export desk.db --to archive/2026-11
    """
    from cryptosentinel.cli.board import Board
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.ledger import export_ledger

    with Board() as board:
        document = export_ledger(where, to, board)
    if as_json:
        emit_json(document)
    else:
        counts = ", ".join(f"{n} {kind}" for kind, n in document["entries"].items())
        emit([f"{counts}: {document['to']}"])


@app.command("prune")
def prune(
    where: Where,
    before: Annotated[str, typer.Option(metavar="TIME", help="2026-08-01, 2026-08-01T12:00Z, or an age: 90d, 12h.")],
    as_json: AsJson = False,
) -> None:
    """Remove the entries that were written before a time; what is left can still be verified.

    A tombstone in the chain says how many are gone and names the hash of the last, so that `ledger verify` sees the
    difference between pruned and stolen. A broken chain is not pruned. What a watch needs to go on stays, and so does
    all that is newer. Export first: what is pruned is gone.

    \b
      cryptosentinel ledger export desk.db --to archive/2026-11
      cryptosentinel ledger prune desk.db --before 90d

    Exit code 0: done, or nothing to do. 2: no such ledger, no such time. 3: the chain is broken, or it was refused.
    """  # noqa: D301  a real backspace keeps the example's lines apart
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.ledger import prune_ledger

    document = prune_ledger(where, before)
    if as_json:
        emit_json(document)
        return
    done = f"entries {document['first']} to {document['last']} are gone, entry {document['tombstone']} says so"
    emit([done if document["removed"] else f"nothing was written before {document['before']} that may go"])
    if document["held_by"]:
        emit([f"the rest stays for {document['held_by']}"])
