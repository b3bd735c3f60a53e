"""Tasks: what the attacker wants the agent to do; importing this registers all that ship."""

from cryptosentinel.redteam.tasks.bias_recommendation import BiasRecommendation

__all__ = ["BiasRecommendation"]
