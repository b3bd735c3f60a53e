"""Quoting lies in the lowest layers that need it; the scan's own copy must stay the same until it takes this one."""

from __future__ import annotations

from pathlib import Path

import cryptosentinel

SOURCE = Path(cryptosentinel.__file__).parent


def test_the_two_copies_are_one() -> None:
    copy = SOURCE / "sanitize" / "adjudicate" / "quoting.py"
    if copy.exists():
        assert copy.read_text("utf-8") == (SOURCE / "quoting.py").read_text("utf-8")
