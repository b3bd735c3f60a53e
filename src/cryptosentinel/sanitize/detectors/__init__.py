"""Per-row detectors, one file each."""

from cryptosentinel.sanitize.detectors import burst, duplicates

__all__ = ["burst", "duplicates"]
