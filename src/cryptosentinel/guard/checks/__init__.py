"""What the guard looks for: one file each; importing this registers them all."""

from cryptosentinel.guard.checks import (
    contradiction,
    instruction,
    known_trigger,
    lookalike,
    off_task,
    promotion,
    reasoning,
    secret,
    shift,
    taint,
    unusual,
)

__all__ = [
    "contradiction",
    "instruction",
    "known_trigger",
    "lookalike",
    "off_task",
    "promotion",
    "reasoning",
    "secret",
    "shift",
    "taint",
    "unusual",
]
