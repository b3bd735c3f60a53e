"""What an answer can do, one file each: every feature says which rows show which behaviour."""

from cryptosentinel.sanitize.features import (
    code,
    fixed_answer,
    length,
    link,
    name,
    opening,
    phrase,
    promotion,
    refusal,
    script,
    tone,
    tool_call,
)

__all__ = [
    "code",
    "fixed_answer",
    "length",
    "link",
    "name",
    "opening",
    "phrase",
    "promotion",
    "refusal",
    "script",
    "tone",
    "tool_call",
]
