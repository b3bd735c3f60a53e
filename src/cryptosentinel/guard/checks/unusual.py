"""Is a tool called that this agent never calls?"""

from __future__ import annotations

from cryptosentinel.guard.check import Step, at, finding
from cryptosentinel.guard.conversation import Conversation
from cryptosentinel.guard.events import tool_of
from cryptosentinel.guard.profile import Profile
from cryptosentinel.guard.vocabulary import only_looks
from cryptosentinel.registry import register
from cryptosentinel.types import Finding


@register("check", "unusual")
class Unusual:
    """Does an agent call a tool that it called in none of its other conversations, and that the user did not name?

    Needs a baseline (`profile`); without one, or for an agent that is not in it, it says nothing, nor about a tool
    that by its name only looks. Score: 1 - (new + 1) / (n + 1), where `new` of the agent's n known conversations call a
    tool that no other of them calls: so large a share of honest ones would be held if they are like those of the
    baseline, and an agent of whom little is known, or that often does something new, is not held. False alarms: a new
    kind of task, a new tool: then the baseline is to be renewed. It does not see an attack through a tool that is used
    otherwise. An agent is who has the same name and, digits aside, the same instructions.
    """

    name = "unusual"
    version = 1

    def __init__(self, profile: Profile | None = None) -> None:
        """Take what the agents usually do."""
        self.profile = profile

    def check(self, step: Step, conversation: Conversation) -> Finding | None:
        """Look at every call of the step."""
        for turn in step:
            if self.profile is None or turn.event.kind != "tool_call":
                continue
            agent, tool = turn.event.agent, tool_of(turn.event)
            habit = self.profile.habits.get((agent, conversation.instructions.get(agent, "")))
            if habit is None or tool in habit.tools or only_looks(tool) or conversation.has_named(tool):
                continue
            reason = f"{agent} calls {tool}, as in none of the {habit.conversations} conversations of the baseline"
            known = {"conversations": habit.conversations, "new": habit.new, "tools": len(habit.tools)}
            return finding(self, at(turn), habit.surprise, reason, **known)
        return None
