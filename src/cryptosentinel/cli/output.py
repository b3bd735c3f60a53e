"""Printing a result: standard output belongs to it alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any


def emit(lines: Iterable[str]) -> None:
    """Print lines; a reader that has gone away is no failure and does not change the exit code."""
    try:
        for line in lines:
            sys.stdout.write(line.encode("utf-8", "replace").decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(document: Any) -> None:
    """Print one JSON document on one line."""
    emit([json.dumps(document, ensure_ascii=False, allow_nan=False)])
