"""Are these the same decisions? One text for each baseline."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from cryptosentinel.monitor.attributes import attributes_of, finite
from cryptosentinel.types import Event


def fingerprint(events: Iterable[Event]) -> str:
    """What tells these decisions, in this order, from others; their ids and the files they came in do not count.

    >>> event = Event("1", 0.0, "", "Trader", "decision", "Trader", "", {"attributes": {"asset": "ETH"}})
    >>> fingerprint([event])[:8], fingerprint([event, event])[:8]
    ('1049fa5c', '4968e551')
    """
    digest = hashlib.sha256()
    for event in events:
        said = [event.time, event.agent, event.kind, finite(attributes_of(event))]
        digest.update(json.dumps(said, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
