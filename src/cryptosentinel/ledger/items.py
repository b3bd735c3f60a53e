"""Findings, verdicts and events <-> the bodies of ledger entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from cryptosentinel.errors import LedgerError
from cryptosentinel.ledger.chain import Kind
from cryptosentinel.types import Event, Finding, Verdict

T = TypeVar("T")
_ADAPTERS: dict[type[Any], tuple[Kind, TypeAdapter[Any]]] = {
    Finding: ("finding", TypeAdapter(Finding)),
    Verdict: ("verdict", TypeAdapter(Verdict)),
    Event: ("event", TypeAdapter(Event)),
}


def to_dict(item: Finding | Verdict | Event) -> dict[str, Any]:
    """The item as plain dicts, lists and values.

    >>> to_dict(Verdict("hold", ("finding-3",), "desk"))
    {'action': 'hold', 'because': ('finding-3',), 'policy': 'desk'}
    """
    dumped: dict[str, Any] = _ADAPTERS[type(item)][1].dump_python(item)
    return dumped


def from_dict(kind: type[T], body: Mapping[str, Any]) -> T:
    """The Finding, Verdict or Event that `to_dict` wrote; other keys are ignored.

    Raises:
        LedgerError: a field is missing or does not fit.
    """
    try:
        item: T = _ADAPTERS[kind][1].validate_python(dict(body))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise LedgerError(f"no {kind.__name__} in this entry: {place}: {first['msg']}") from None
    return item


def kind_of(item: Finding | Verdict | Event) -> Kind:
    """Under which kind is this item kept?"""
    return _ADAPTERS[type(item)][0]
