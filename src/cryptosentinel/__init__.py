"""CryptoSentinel: keep a team of LLM agents free of backdoors, before training and at run time."""

__version__ = "0.1.0"
