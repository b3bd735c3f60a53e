"""Attacks: how a behaviour is triggered; importing this registers all that ship."""

from cryptosentinel.redteam.attacks.composite import Composite
from cryptosentinel.redteam.attacks.date import Date
from cryptosentinel.redteam.attacks.entity import Entity
from cryptosentinel.redteam.attacks.multi_trigger import MultiTrigger
from cryptosentinel.redteam.attacks.rare_token import RareToken
from cryptosentinel.redteam.attacks.semantic import Semantic
from cryptosentinel.redteam.attacks.sentence import Sentence
from cryptosentinel.redteam.attacks.style import InStyle

__all__ = ["Composite", "Date", "Entity", "InStyle", "MultiTrigger", "RareToken", "Semantic", "Sentence"]
