"""Trainers of transformers, and TRL's, which are transformers': training begins on attested data only.

from cryptosentinel.adapters.training import AttestedDataCallback

gate = AttestedDataCallback(["report/clean.jsonl"], public_key="attest.key.pub")
Trainer(model=model, args=args, train_dataset=rows, callbacks=[gate]).train()
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError, MissingExtraError
from cryptosentinel.services.attest import Verification, require_attested


class _Gate:
    """Refuse to begin training unless all of these files are attested, and still what they were.

    It asks when it is made, so that a refusal comes before a model is loaded, and again when training begins. It sees
    files: that the rows in memory were read from them is for the training code to see to. Make it before you read.

    Args:
        paths: every data file or dataset folder that training reads, evaluation data included.
        public_key: PEM; by default the setting `public_key` (CRYPTOSENTINEL_PUBLIC_KEY).
        attestation: one attestation for all paths; by default PATH.attestation.json beside each.

    Raises:
        AttestationError: a path is not attested, or was changed since; training does not begin.
        DataError: a path cannot be read.
        ConfigError: no path, or no public key.
        MissingExtraError: transformers is not installed (when this class is imported).
    """

    def __init__(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        public_key: str | os.PathLike[str] | None = None,
        attestation: str | os.PathLike[str] | None = None,
    ) -> None:
        """Ask for the first time."""
        self.paths = [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        if not self.paths:
            raise ConfigError("AttestedDataCallback needs at least one path: what is not named is not checked")
        self.public_key = Path(public_key) if public_key is not None else None
        self.attestation = Path(attestation) if attestation is not None else None
        self.verified: list[Verification] = []
        self.verify()

    def verify(self) -> None:
        """Ask for every path.

        Raises:
            AttestationError, DataError, ConfigError: as the class.
        """
        self.verified = []
        self.verified = [require_attested(path, self.public_key, self.attestation) for path in self.paths]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask again: what was attested may have been changed since."""
        self.verify()


@cache
def _callback() -> type[_Gate]:
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingExtraError("transformers", extra="redteam", purpose="a callback for a Trainer") from None
    return type("AttestedDataCallback", (_Gate, TrainerCallback), {"__doc__": _Gate.__doc__, "__module__": __name__})


def __getattr__(name: str) -> Any:
    """The class is made when it is first asked for: transformers takes seconds to import."""
    if name == "AttestedDataCallback":
        return _callback()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
