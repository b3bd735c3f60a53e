"""The scan: what is flagged is not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptosentinel.errors import ConfigError
from cryptosentinel.redteam.defence import Defence, Means
from cryptosentinel.registry import register


@register("defence", "scan", version=1)
class Scanned(Defence):
    """Does training on what the scan leaves give a model without the backdoor?

    Drops every flagged row and trains from the start. Costs a scan and a training, and the clean rows that are flagged
    by mistake. Needs nothing but the data and, if there is one, a reference model. What it misses is trained on.

    Source: ours, see docs/03-architecture.md.

    >>> Scanned.scans
    True
    """

    scans = True

    def __init__(self) -> None:
        """Nothing scanned yet."""
        super().__init__()
        self.report: dict[str, Any] = {}

    def drop(self, means: Means) -> Sequence[bool]:
        """The rows that the scan flags.

        Raises:
            ConfigError: nobody brought a scanner.
        """
        if means.scan is None:
            raise ConfigError("this defence needs a scanner, and none was given")
        flags, self.report = self._scan(means)
        return flags

    def _scan(self, means: Means) -> tuple[list[bool], dict[str, Any]]:
        assert means.scan is not None  # noqa: S101 - `drop` has checked
        return means.scan(means.rows)
