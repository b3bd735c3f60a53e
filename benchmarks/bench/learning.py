"""scikit-learn, where it is installed; one seed for all of it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cryptosentinel.errors import MissingExtraError

SEED = 0


def sklearn(module: str) -> Any:
    """One of its modules.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module(f"sklearn.{module}")
    except ModuleNotFoundError:
        raise MissingExtraError("scikit-learn", extra="dev", purpose="the baselines") from None
