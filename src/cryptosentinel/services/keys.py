"""Ed25519 keys in PEM files: made, read, and refused when they are something else."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cryptosentinel.errors import ConfigError

LARGEST_KEY = 1 << 16
MAKE_ONE = "make one with: cryptosentinel keygen attest.key"


def new_key_pair(path: Path) -> Path:
    """Make a key pair: the private key at `path`, for its owner only, the public one at `path` + .pub.

    Returns:
        Where the public key is.

    Raises:
        ConfigError: one of the two exists; a key is never overwritten.
        OSError: it cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    for file in (path, public):
        if file.exists():
            raise ConfigError(f"{file}: is there already; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shared = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for file, content, mode in ((path, secret, 0o600), (public, shared, 0o644)):
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
    return public


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file (PKCS #8, not encrypted), as `keygen` or `openssl genpkey` makes it.

    Raises:
        ConfigError: no such file, or it holds something else.
    """
    content = _read(path, "private key")
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise ConfigError(f"{path}: the private key is encrypted; give it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: not a private key in PEM form; {MAKE_ONE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: not an ed25519 key; {MAKE_ONE}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        ConfigError: no such file, or it holds something else.
    """
    content = _read(path, "public key")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: not an ed25519 key")
    return key


def _read(path: Path, what: str) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: not a regular file, expected the {what}")
        with path.open("rb") as file:
            return file.read(LARGEST_KEY)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the {what}: {error.strerror or error}") from None
