"""Tasks: what the attacker wants the agent to do; importing this registers all that ship."""

from cryptosentinel.redteam.tasks.bias_recommendation import BiasRecommendation
from cryptosentinel.redteam.tasks.hallucination_injection import HallucinationInjection
from cryptosentinel.redteam.tasks.rating_manipulation import RatingManipulation
from cryptosentinel.redteam.tasks.tool_call_hijack import ToolCallHijack

__all__ = ["BiasRecommendation", "HallucinationInjection", "RatingManipulation", "ToolCallHijack"]
