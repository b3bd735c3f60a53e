"""Files that appear only when they are complete, and whether they can appear where they are wanted."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cryptosentinel.errors import ConfigError


def require_folder(out: Path) -> None:
    """Can results be written into this folder? It is made if need be; a caller asks before the work, not after it.

    Raises:
        ConfigError: a file is in its place, or in that of a folder above it.
        OSError: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{out} must be a folder: it is a file, or lies below one") from None
    with tempfile.TemporaryFile(dir=out):
        pass


def require_file(out: Path) -> None:
    """Can a result be written to this file? Its folder is made if need be; a caller asks before the work.

    Raises:
        ConfigError: it is a folder, or lies below a file.
        OSError: its folder cannot be made or written.
    """
    if out.is_dir():
        raise ConfigError(f"{out} must be a file: it is a folder")
    require_folder(out.parent)


@contextmanager
def atomic_open(path: Path) -> Iterator[BinaryIO]:
    """Write a file under a temporary name beside it; on leaving without error it takes its place, durably.

    If the body raises, or the disk is full, `path` stays as it was and the temporary file is removed.

    Raises:
        OSError: the folder cannot be written, the disk is full, `path` is a folder.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic_open(target) as out:
    ...     _ = out.write(b"whole")
    ...     target.exists()
    False
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    # The name starts with a dot and ends in .tmp so that no reader of a folder takes a half-written file for data.
    temporary = path.parent / f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    with _blamed_on(path):
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        with _blamed_on(path):
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def atomic_write(path: Path, content: bytes | str) -> None:
    r"""Write the whole file or nothing; text as UTF-8, what UTF-8 cannot hold (of odd file names) as \udc80.

    Raises:
        OSError: as `atomic_open`.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with atomic_open(path) as out:
        out.write(data)


@contextmanager
def _blamed_on(path: Path) -> Iterator[None]:
    """An error names the file that the caller asked for: nobody knows the temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable; some file systems cannot, which is no reason to fail."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
