"""Trusted data beside a scan: a row that is also scanned vouches for nothing, least of all for itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptosentinel.datasets.streams import locate
from cryptosentinel.errors import ConfigError
from cryptosentinel.services.digests import Watched, digest
from cryptosentinel.services.scan_memory import read_all

VOUCH = "rows cannot vouch for themselves; scan what is new, and trust what was there before"


class TrustedData:
    """The rows of trusted files, less those that the scanned data has too.

    files: as they were when they were read. records: what is left. shared: how many rows were left out.

    Raises:
        DataError: as `Watched` and `read_rows`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Digest and read all files."""
        self.files = Watched(paths)
        self.records = read_all(paths)[1]
        self.shared = 0

    def refuse_scanned(self, data: Sequence[Path]) -> None:
        """Stop here if one of the trusted files is scanned too, under whatever name.

        Raises:
            ConfigError: one is.
        """
        known = {file.sha256: file for file in self.files.files}
        sizes = {file.bytes for file in self.files.files}
        for path in locate(data):
            if os.stat(path).st_size in sizes and (same := known.get(digest(path).sha256)):
                raise ConfigError(f"--trusted {same.path} is {path}, which is to be scanned: {VOUCH}")

    def leave_out(self, scanned: Iterable[tuple[str, str]]) -> None:
        """Drop the rows with one of these prompts and its answer.

        Raises:
            ConfigError: nothing is left.
        """
        own = {(r.prompt, r.response) for r in self.records}
        both = own.intersection(scanned)
        left = [r for r in self.records if (r.prompt, r.response) not in both]
        self.shared += len(self.records) - len(left)
        self.records = left
        if not left:
            raise ConfigError(f"--trusted: every row of it is also to be scanned: {VOUCH}")
