"""Asking language models: an endpoint, a local model, a recording, a script."""

from cryptosentinel.asker import Answer, Asker
from cryptosentinel.llm.endpoint import HTTPAsker
from cryptosentinel.llm.local import LocalAsker, LocalReference
from cryptosentinel.llm.replayed import ReplayAsker, ScriptedAsker

__all__ = ["Answer", "Asker", "HTTPAsker", "LocalAsker", "LocalReference", "ReplayAsker", "ScriptedAsker"]
