"""The monitor's alarms."""

from __future__ import annotations

from cryptosentinel.agentspec.amounts import UnreadableError
from cryptosentinel.agentspec.context import Context
from cryptosentinel.agentspec.signature import Test
from cryptosentinel.agentspec.syntax import Word
from cryptosentinel.registry import register

ANY = Word("")


@register("predicate", "drift_alarm")
def drift_alarm(stream: Word = ANY) -> Test:
    """Has the drift alarm of this stream gone off, or of any stream if none is named?

    Where no monitor is running, or it does not know the stream, nothing is decided.

    >>> from cryptosentinel.agentspec.context import Signals
    >>> from cryptosentinel.types import Event
    >>> event = Event("1", 0.0, "r", "a", "message", "a", "b", {"text": "Buy."})
    >>> drift_alarm(Word("size"))(Context(event, Signals(alarms={"size": True, "asset": False})))
    True
    """

    def test(context: Context) -> bool:
        alarms = context.signals.alarms
        if alarms is None:
            raise UnreadableError("no monitor is running, so no drift alarm is known")
        if not stream:
            return any(alarms.values())
        if stream not in alarms:
            raise UnreadableError(f"no stream {stream!r} is monitored")
        return bool(alarms[stream])

    return test
