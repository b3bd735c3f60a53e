"""Is this an event that can be judged?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from cryptosentinel.agentspec import Context
from cryptosentinel.agentspec.amounts import UnreadableError
from cryptosentinel.agentspec.context import tool_of
from cryptosentinel.types import Event, EventKind

KINDS: tuple[str, ...] = get_args(EventKind)
SHOWN = 2_000


def as_event(given: Any) -> Event:
    """The event itself if its fields are of the right kind; else one that names no tool, so that nothing allows it.

    >>> as_event("swap").kind, unreadable(as_event("swap"))
    ('tool_call', "no event: 'swap'")
    """
    if (
        isinstance(given, Event)
        and given.kind in KINDS
        and isinstance(given.body, Mapping)
        and all(isinstance(getattr(given, name), str) for name in ("id", "run_id", "agent", "sender", "recipient"))
        and isinstance(given.time, int | float)
    ):
        return given
    run_id = getattr(given, "run_id", "")
    body = {"unusable": repr(given)[:SHOWN]}
    return Event("unusable", 0.0, run_id if isinstance(run_id, str) else "", "", "tool_call", "", "", body)


def unreadable(event: Event) -> str:
    """Why can nobody tell what this asks for? Empty if it is clear."""
    if event.kind != "tool_call":
        return ""
    if "unusable" in event.body and not tool_of(event):
        return f"no event: {event.body['unusable']}"
    if not tool_of(event):
        return "a tool call that names no tool"
    try:
        Context(event).arguments  # noqa: B018  reading them is the question
    except UnreadableError as error:
        return str(error)
    return ""
