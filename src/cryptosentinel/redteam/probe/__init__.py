"""Does this model or agent carry a backdoor? Paired prompts with suspected triggers and matched controls."""

from cryptosentinel.redteam.probe.compare import AnswerAll, Probed, Settings, probe, sentence
from cryptosentinel.redteam.probe.prompts import Samples, Texts, source_of
from cryptosentinel.redteam.probe.suspects import (
    Suspect,
    from_bank,
    from_hypotheses,
    from_prompts,
    named,
    read_hypotheses,
)

__all__ = [
    "AnswerAll",
    "Probed",
    "Samples",
    "Settings",
    "Suspect",
    "Texts",
    "from_bank",
    "from_hypotheses",
    "from_prompts",
    "named",
    "probe",
    "read_hypotheses",
    "sentence",
    "source_of",
]
