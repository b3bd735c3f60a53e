"""The scan with trusted data beside it."""

from __future__ import annotations

from typing import Any

from cryptosentinel.redteam.defence import Means
from cryptosentinel.redteam.defences.scan import Scanned
from cryptosentinel.registry import register


@register("defence", "scan-trusted", version=1)
class ScannedAgainstTrusted(Scanned):
    """Does the scan do better when it may ask whether an association was there before?

    As `scan`, with as many ordinary clean rows of the same agent, drawn with another seed, given as trusted data. Costs
    the same and, in life, a file that somebody vouches for. It knows nothing of the attack or its topic.

    Source: ours, see docs/03-architecture.md.

    >>> ScannedAgainstTrusted.scans
    True
    """

    def _scan(self, means: Means) -> tuple[list[bool], dict[str, Any]]:
        assert means.scan is not None  # noqa: S101 - `drop` has checked
        trusted = means.trusted()
        self.notes["trusted_rows"] = len(trusted)
        return means.scan(means.rows, trusted=trusted)
