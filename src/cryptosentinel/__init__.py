"""CryptoSentinel: keep a team of LLM agents free of backdoors, before training and at run time."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptosentinel.datasets import read_rows
    from cryptosentinel.errors import SentinelError
    from cryptosentinel.ledger import Ledger
    from cryptosentinel.observer import Observer
    from cryptosentinel.policy import Policy
    from cryptosentinel.registry import register
    from cryptosentinel.services.attest import require_attested
    from cryptosentinel.services.redteam import red_team
    from cryptosentinel.services.scan import scan_dataset
    from cryptosentinel.services.scan_document import ScanReport
    from cryptosentinel.types import Event, Finding, Message, Record, Ref, Verdict

__version__ = "0.1.0"

# Where each name lives; imported when first asked for, so that `import cryptosentinel` costs nothing.
_HOMES = {
    "Event": "types",
    "Finding": "types",
    "Ledger": "ledger",
    "Message": "types",
    "Observer": "observer",
    "Policy": "policy",
    "Record": "types",
    "Ref": "types",
    "ScanReport": "services.scan_document",
    "SentinelError": "errors",
    "Verdict": "types",
    "read_rows": "datasets",
    "red_team": "services.redteam",
    "register": "registry",
    "require_attested": "services.attest",
    "scan_dataset": "services.scan",
}

__all__ = [
    "Event",
    "Finding",
    "Ledger",
    "Message",
    "Observer",
    "Policy",
    "Record",
    "Ref",
    "ScanReport",
    "SentinelError",
    "Verdict",
    "read_rows",
    "red_team",
    "register",
    "require_attested",
    "scan_dataset",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"cryptosentinel.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cryptosentinel' has no attribute {name!r}")
