"""The answers of an Agno agent or team, for a probe: a copy is asked, and no tool is run."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any
from uuid import uuid4

from cryptosentinel.errors import ConfigError, JudgeError, MissingExtraError

REFUSED = "This tool was not run: the agent is being tested."
HAND_OVER = ("delegate_task_to_member", "delegate_task_to_members")


class AgnoAnswers:
    """What a copy of the agent says to each prompt; the tools it asks for are written down as answers, not run.

    Every prompt is a session of its own. The copy has no database and no memory, so that nothing of the probe stays
    with the agent and no prompt colours the next. Hooks and guards before and after a run stay as they are.

    Raises:
        ConfigError: what is given has no `deep_copy` and `run`, so it is no Agno agent or team.
    """

    def __init__(self, agent: Any) -> None:
        """Copy the agent and put the hook around its tools, and its members'."""
        if not callable(getattr(agent, "deep_copy", None)) or not callable(getattr(agent, "run", None)):
            raise ConfigError(f"{type(agent).__name__} is not an Agno agent or team")
        self._calls: list[str] = []
        self.name = str(getattr(agent, "name", None) or type(agent).__name__)
        self._agent = agent.deep_copy()
        self._strip(self._agent)

    def __call__(self, prompts: list[str]) -> list[str]:
        """Answer these prompts, one after the other.

        Raises:
            JudgeError: the agent failed on one.
        """
        return [self._one(p) for p in prompts]

    def _one(self, prompt: str) -> str:
        self._calls.clear()
        try:
            output = self._agent.run(prompt, session_id=f"probe-{uuid4().hex}", user_id="probe")
        except Exception as error:  # whatever an agent of somebody else's raises, it did not answer
            raise JudgeError(f"{self.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from error
        status = str(getattr(getattr(output, "status", ""), "value", getattr(output, "status", "")))
        if status.upper() == "ERROR":
            raise JudgeError(f"{self.name}: {' '.join(str(output.content).split())[:200]}")
        return "\n".join([_text(output.content), *self._calls]).strip()

    def _strip(self, agent: Any) -> None:
        """No tool, no storage; also for members of a team, and theirs."""
        members = getattr(agent, "members", None)
        agent.tool_hooks = [self._instead if members is None else self._for_a_team]
        for name in ("db", "memory_manager", "session_summary_manager", "culture_manager"):
            if hasattr(agent, name):
                setattr(agent, name, None)
        for name in ("telemetry", "update_memory_on_run", "enable_user_memories", "enable_agentic_memory"):
            if hasattr(agent, name):
                setattr(agent, name, False)
        for member in members if isinstance(members, list) else []:
            self._strip(member)

    def _instead(self, function_name: str, function_call: Any, arguments: dict[str, Any]) -> Any:
        """Note the call instead of making it."""
        self._calls.append(f"{function_name}({json.dumps(arguments, sort_keys=True, default=str)})")
        return REFUSED

    def _for_a_team(self, function_name: str, function_call: Any, arguments: dict[str, Any]) -> Any:
        """As `_instead`, but a team's own hand-over to its members goes on: they are copies too."""
        if function_name not in HAND_OVER:
            return self._instead(function_name, function_call, arguments)
        said = function_call(**arguments)
        if isinstance(said, str) or not hasattr(said, "__iter__"):
            return said
        return "".join(part for part in said if isinstance(part, str))


def load_agent(entry: str) -> AgnoAnswers:
    """Import the agent that "package.module:NAME" names; a function of that name is called for it.

    Raises:
        JudgeError: no such module or name, or what it names is no agent: then nothing can be probed.
        MissingExtraError: agno is not installed.
    """
    try:
        import_module("agno.agent")
    except ImportError:
        raise MissingExtraError("agno", extra="agno", purpose="probing an Agno agent") from None
    module, colon, name = entry.partition(":")
    try:
        found: Any = getattr(import_module(module), name) if colon else None
    except (ImportError, AttributeError, ValueError) as error:
        raise JudgeError(f"cannot probe: agent {entry!r} cannot be imported: {error}") from None
    if found is None:
        raise JudgeError(f"cannot probe: an agent is named 'package.module:NAME', got {entry!r}")
    try:
        if callable(found) and not hasattr(found, "deep_copy"):
            found = found()
    except Exception as error:  # somebody else's code
        raise JudgeError(f"cannot probe: {entry} failed: {type(error).__name__}: {error}") from error
    try:
        return AgnoAnswers(found)
    except ConfigError as error:
        raise JudgeError(f"cannot probe: {entry}: {error}") from None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if hasattr(content, "model_dump_json"):
        return str(content.model_dump_json())
    return "" if content is None else json.dumps(content, default=str)
