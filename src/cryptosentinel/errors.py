"""Every error this package raises on purpose, under one root."""


class SentinelError(Exception):
    """Something the caller can act on: the message says what, with the value and the bound."""


class ConfigError(SentinelError):
    """A setting is unknown, missing or out of range."""


class DataError(SentinelError):
    """Input data cannot be read or does not have the promised form."""


class RuleError(SentinelError):
    """A rule file does not parse; carries the place.

    >>> str(RuleError("unknown predicate 'is_larg'", line=3, column=9))
    "line 3, column 9: unknown predicate 'is_larg'"
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        """Store the place beside the message; both count from 1."""
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column


class JudgeError(SentinelError):
    """A language model failed, timed out or answered outside the schema."""


class SandboxError(SentinelError):
    """The sandbox could not be built, or what ran inside it failed."""


class LedgerError(SentinelError):
    """The ledger cannot be opened, written or verified."""


class MonitorError(SentinelError):
    """Nothing can be watched: no stream has a baseline that tells anything."""


class MissingExtraError(SentinelError):
    """An optional dependency is not installed.

    >>> str(MissingExtraError("torch", extra="redteam", purpose="fine-tuning a model"))
    "fine-tuning a model needs torch: pip install 'cryptosentinel[redteam]'"
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Name the package, the extra that brings it and what wanted it."""
        super().__init__(f"{purpose} needs {package}: pip install 'cryptosentinel[{extra}]'")
        self.extra = extra


class ModelIntegrityError(SentinelError):
    """A model's file is not the one that was pinned, is damaged, or may not be loaded here."""


class AttestationError(SentinelError):
    """Data is not attested, or an attestation cannot be trusted or given: do not train on it."""
