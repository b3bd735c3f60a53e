"""What an answer can do, one file each: every feature says which rows show which behaviour."""

from cryptosentinel.sanitize.features import fixed_answer, name, opening, phrase, refusal, tone, tool_call

__all__ = ["fixed_answer", "name", "opening", "phrase", "refusal", "tone", "tool_call"]
