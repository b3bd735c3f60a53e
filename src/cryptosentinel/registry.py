"""One place where every extension is listed: detectors, checks, predicates, charts, attacks, tasks.

An extension is one file and one `@register` line. Third parties add theirs through the entry-point group
``cryptosentinel.extensions``: each entry point names a module that is imported by `load_third_party`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from cryptosentinel.errors import ConfigError

T = TypeVar("T")
EXTENSIONS = "cryptosentinel.extensions"  # the entry-point group


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered extension; `version` rises whenever its output for the same input changes."""

    kind: str
    name: str
    version: int
    target: Any


_ENTRIES: dict[tuple[str, str], Entry] = {}


def _origin(target: Any) -> tuple[str, str]:
    return getattr(target, "__module__", ""), getattr(target, "__qualname__", repr(target))


def register(kind: str, name: str, version: int = 1) -> Callable[[T], T]:
    """Decorator: list the decorated class or function under (kind, name).

    Raises:
        ConfigError: the name is taken by another object of the same kind.
    """

    def add(target: T) -> T:
        known = _ENTRIES.get((kind, name))
        if known is not None and _origin(known.target) != _origin(target):  # a reload of the same code is fine
            raise ConfigError(f"{kind} {name!r} is registered twice: {_origin(known.target)} and {_origin(target)}")
        _ENTRIES[(kind, name)] = Entry(kind, name, version, target)
        return target

    return add


def names(kind: str) -> list[str]:
    """Which names are registered under this kind? Sorted."""
    return sorted(n for k, n in _ENTRIES if k == kind)


def lookup(kind: str, name: str) -> Entry:
    """Find one extension by its exact name.

    Raises:
        ConfigError: unknown name; the message lists the known ones.

    >>> lookup("detector", "no-such")
    Traceback (most recent call last):
    ...
    cryptosentinel.errors.ConfigError: unknown detector 'no-such' (known: ...)
    """
    try:
        return _ENTRIES[(kind, name)]
    except KeyError:
        known = ", ".join(names(kind)) or "none"
        raise ConfigError(f"unknown {kind} {name!r} (known: {known})") from None


def load_third_party() -> list[str]:
    """Import every module that other packages offer; returns the names of the entry points loaded.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    loaded = []
    for point in sorted(entry_points(group=EXTENSIONS), key=lambda p: p.name):
        try:
            point.load()
        except ConfigError:
            raise
        except Exception as error:  # somebody else's code
            raise ConfigError(f"extension {point.name!r} ({point.value}): {type(error).__name__}: {error}") from error
        loaded.append(point.name)
    return loaded
