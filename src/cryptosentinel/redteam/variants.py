"""Every attack and task comes in several variants; the seed chooses one unless it is named."""

from __future__ import annotations

from collections.abc import Sequence

from cryptosentinel.errors import ConfigError

SEEDS_A_PAYLOAD = 6  # so many seeds in a row differ in the trigger only; then comes the next payload


def choose(kind: str, variants: Sequence[str], seed: int, variant: str | None) -> str:
    """Which variant is it: the named one, or the seed's?

    >>> choose("attack 'date'", ["march", "year"], 3, None)
    'year'

    Raises:
        ConfigError: no such variant; the message lists the known ones.
    """
    if variant is None:
        return variants[seed % len(variants)]
    if variant not in variants:
        raise ConfigError(f"unknown variant {variant!r} of {kind} (known: {', '.join(variants)})")
    return variant
