"""`cryptosentinel attest`, `verify` and `keygen`: sign what a scan found, and refuse data that was not scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_REFUSED = 1
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def keygen(
    key: Annotated[Path, typer.Argument(help="File for the private key; the public one goes to KEY.pub.")],
    as_json: Json = False,
) -> None:
    """Make an ed25519 key pair to attest and verify with. Keep KEY secret, give KEY.pub to whoever trains.

    The same as: openssl genpkey -algorithm ed25519 -out KEY; openssl pkey -in KEY -pubout -out KEY.pub

    Example: cryptosentinel keygen attest.key
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.keys import new_key_pair

    public = new_key_pair(key)
    if as_json:
        emit_json({"kind": "keygen", "private_key": str(key), "public_key": str(public)})
    else:
        emit([f"private key: {key} (keep it secret)", f"public key: {public}"])


def attest(
    data: Annotated[list[Path], typer.Argument(help="What was scanned: one file or folder, or several files.")],
    report: Annotated[Path, typer.Option(help="The folder that scan --out wrote.")],
    key: Annotated[Path, typer.Option(help="Private key: PEM, ed25519, not encrypted.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The attestation. Default: beside clean.jsonl, and beside DATA too where that passes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign what a scan said about this data, so that training code can insist on it.

    Where nothing was found, DATA and the report's clean.jsonl are attested; where rows were set aside, clean.jsonl
    alone. Exit code 0: attested. 2: refused, the report is not of this data or not complete. 3: cannot be written.

    Example: cryptosentinel attest train.jsonl --report report --key attest.key
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.sanitize.attest import open_signed
    from cryptosentinel.services.attest import attest as sign
    from cryptosentinel.services.keys import read_private_key

    path = sign(data, report, key, out)
    statement = open_signed(path.read_bytes(), read_private_key(key).public_key())
    said, subject = statement.predicate, [s.name for s in statement.subject]
    if as_json:
        emit_json({"kind": "attestation", "attestation": str(path), "subject": subject, "predicate": said.model_dump()})
        return
    if said.verdict == "passed":
        emit([f"attested: {', '.join(subject)} ({said.rows} rows, {said.found('none suspicious')})"])
    else:
        undecided = f", {said.undecided} undecided" if said.undecided else ""
        emit(
            [
                f"attested: clean.jsonl ({said.rows - said.flagged} rows{undecided})",
                f"not attested: the data itself, {said.flagged} rows of it are in quarantine and {said.rejected} "
                "could not be read",
            ]
        )
    emit([f"attestation: {path}"])


def verify(
    data: Annotated[Path, typer.Argument(help="The file or folder to be trained on.")],
    attestation: Annotated[Path | None, typer.Option(help="Default: DATA.attestation.json beside the data.")] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Public key: PEM, ed25519. Default: CRYPTOSENTINEL_PUBLIC_KEY.")
    ] = None,
    as_json: Json = False,
) -> None:
    """May this data be trained on? Only if it was scanned, attested with this key, and not changed since.

    Exit code 0: it may. 1: refused. 2: wrong usage, or the data or the key cannot be read. 3: could not run.

    Example: cryptosentinel verify train.jsonl --attestation train.jsonl.attestation.json --public-key attest.key.pub
    """
    from cryptosentinel.cli.output import emit, emit_json
    from cryptosentinel.services.asked import named
    from cryptosentinel.services.attest import beside, public_key_or_setting
    from cryptosentinel.services.attest import verify as check

    result = check(data, attestation or beside(data), public_key_or_setting(public_key))
    if as_json:
        emit_json(result.as_dict())
    elif result:
        said = result.statement.predicate if result.statement else None
        emit([f"accepted: {result.reason}"])
        if said:
            emit(
                [f"scanned by {said.tool.get('name')} {said.tool.get('version')}, signed {said.time}, "
                 f"fpr {said.fpr:g}, reference model: {named(said.reference_model, said.reference_model_asked)}"]
            )  # fmt: skip
    else:
        emit([f"refused: {result.reason}"])
    if not result:
        raise typer.Exit(EXIT_REFUSED)
