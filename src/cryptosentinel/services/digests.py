"""Which bytes are these files? Digests, streamed, that hold for what was read and not for what came after."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptosentinel.datasets.streams import locate
from cryptosentinel.errors import DataError

Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class FileDigest:
    """The SHA-256 (hex) and the size of one file, and what tells that it is still the same."""

    path: Path
    sha256: str
    bytes: int
    identity: Identity = field(repr=False, compare=False)


def digest(path: Path) -> FileDigest:
    """Read a file once and say which bytes it has.

    Raises:
        DataError: it is missing, no regular file, cannot be read, or changes meanwhile.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.txt"
    >>> _ = file.write_text("hello world")
    >>> digest(file).sha256[:16], digest(file).bytes
    ('b94d27b9934d3e08', 11)
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise DataError(f"{path}: not a regular file")
        with path.open("rb") as stream:
            before = _identity(os.fstat(stream.fileno()))
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            after = _identity(os.fstat(stream.fileno()))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if before != after:
        raise DataError(f"{path}: changed while it was being read")
    return FileDigest(path, found, before[2], before)


class Watched:
    """The files of a dataset, digested before they are used; `unchanged` says that they were the same to the end.

    A write, a replacement and a rename all change what the file system keeps of a file (inode, size, times), so that
    whatever is read between the two is what was digested.

    Raises:
        DataError: as `locate` and `digest`.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Find the data files and digest each once, in the order they are read."""
        self.files = [digest(path) for path in dict.fromkeys(locate(paths))]

    def unchanged(self) -> None:
        """Hold the files to what they were.

        Raises:
            DataError: one was written, replaced or removed since.
        """
        for file in self.files:
            try:
                same = _identity(os.stat(file.path)) == file.identity
            except OSError:
                same = False
            if not same:
                raise DataError(f"{file.path}: changed while the data was being scanned")

    def describe(self) -> list[dict[str, str | int]]:
        """As report.json has it."""
        return [{"path": str(f.path), "sha256": f.sha256, "bytes": f.bytes} for f in self.files]


def watch_meanwhile(paths: Sequence[Path]) -> Callable[[], Watched]:
    """Begin to digest these files while they are read; the function returned waits for it.

    Raises:
        DataError: as `Watched`, on waiting also where a file is not what it was at this call.
    """
    before = {path: _identity(os.stat(path)) for path in locate(paths)}
    found: list[Watched | BaseException] = []

    def watch() -> None:
        try:
            found.append(Watched(paths))
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def wait() -> Watched:
        thread.join()
        watched = found[0]
        if isinstance(watched, BaseException):
            raise watched
        for file in watched.files:
            if before.get(file.path) != file.identity:
                raise DataError(f"{file.path}: changed while the data was being scanned")
        return watched

    return wait


def files_below(folder: Path) -> dict[str, Path]:
    """Every file in a folder by its relative name, hidden ones included; a linked folder counts as a file.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror or error}") from None

    found: dict[str, Path] = {}
    for root, folders, names in os.walk(folder, onerror=refuse):
        linked = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in [*names, *linked]:
            path = Path(root, name)
            found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
