"""Attacks: how a behaviour is triggered; importing this registers all that ship."""

from cryptosentinel.redteam.attacks.semantic import Semantic

__all__ = ["Semantic"]
