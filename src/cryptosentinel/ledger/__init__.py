"""Append-only, hash-chained runs, findings, verdicts and events."""

from cryptosentinel.ledger.chain import GENESIS, KINDS, Entry, Kind, VerifyResult, canonical
from cryptosentinel.ledger.items import from_dict, to_dict
from cryptosentinel.ledger.prune import Pruned, prune
from cryptosentinel.ledger.store import Ledger

__all__ = [
    "GENESIS",
    "KINDS",
    "Entry",
    "Kind",
    "Ledger",
    "Pruned",
    "VerifyResult",
    "canonical",
    "from_dict",
    "prune",
    "to_dict",
]
