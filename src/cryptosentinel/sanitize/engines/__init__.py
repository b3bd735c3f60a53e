"""Where the work on shards is done: in processes of this machine, or on a Ray cluster. Same functions, same results."""

from cryptosentinel.sanitize.engines.base import ENGINES, Engine, open_engine

__all__ = ["ENGINES", "Engine", "open_engine"]
