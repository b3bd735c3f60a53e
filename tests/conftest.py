"""For all tests: laws are checked for what they say; how long an example takes depends on the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
