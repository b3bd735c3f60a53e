"""What the guard looks for: one file each, importing this registers them all."""

from cryptosentinel.guard.checks import taint

__all__ = ["taint"]
