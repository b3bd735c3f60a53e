"""What was judged goes into the ledger before it may happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptosentinel.deadline import Late
from cryptosentinel.ledger import Ledger, to_dict
from cryptosentinel.ledger.chain import Kind
from cryptosentinel.observer.plain import plain
from cryptosentinel.observer.ruling import Draft, Ruling
from cryptosentinel.types import Event, Verdict


def record(ledger: Ledger, drafts: Sequence[Draft], rulings: Sequence[Ruling], late: Late[None]) -> None:
    """Write the events, what was found and what was done about them, in one transaction.

    `step` of an event is the id of the first that was judged together with it.

    A write that ends after nobody waited for it any more says that something went through which was held: then a second
    verdict says so.

    Raises:
        LedgerError: it could not be written.
    """
    entries: list[tuple[Kind, dict[str, Any]]] = []
    written: set[str] = set()
    for draft, ruling in zip(drafts, rulings, strict=True):
        run = draft.event.run_id
        fields = {name: getattr(draft.event, name) for name in Event.__slots__}
        entries.append(("event", plain({**fields, "run": run, "step": drafts[0].event.id})))
        for name, finding in draft.findings:
            if name not in written:
                written.add(name)
                body = {**to_dict(finding), "id": name, "run": run, "event": draft.event.id}
                entries.append(("finding", plain(body)))
        entries.append(("verdict", _verdict(draft, ruling)))
    ledger.append_many(entries)
    if late.given_up:
        corrected = Ruling("hold", (), "observer", "held: the ledger answered too late")
        ledger.append_many([("verdict", _verdict(d, corrected)) for d in drafts])


def _verdict(draft: Draft, ruling: Ruling) -> dict[str, Any]:
    kept = Verdict(ruling.action, ruling.because, ruling.policy)
    more = {
        "run": draft.event.run_id,
        "event": draft.event.id,
        "message": ruling.message,
        "stops": ruling.stops,
        "approved_by": ruling.approved_by,
        "scores": ruling.scores,
    }
    found: dict[str, Any] = plain({**to_dict(kept), **more})
    return found
