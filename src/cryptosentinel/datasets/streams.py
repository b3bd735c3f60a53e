"""From a path to bytes: which files are the inputs, what are they really, and their content decompressed on the way."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cryptosentinel.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".arrow")
COMPRESSIONS = (".gz", ".zst")
MAX_DOCUMENT_BYTES = 2 << 30  # what has to be read whole: JSON documents, compressed Parquet
BREAKS = (OSError, EOFError, zlib.error)  # what reading raises where a file breaks off; zstd's own becomes OSError
_METADATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_CONTAINERS = {b"\x1f\x8b": ".gz", b"\x28\xb5": ".zst", b"PA": ".parquet", b"PK": ".zip"}


def locate(paths: Sequence[Path]) -> list[Path]:
    """Which data files do these paths stand for, in the order they are read? Folders are walked by name.

    A folder written by Hugging Face `save_to_disk` lists its files itself; caches and metadata are no data.

    Raises:
        DataError: no such path, no data file in a folder, or a file that is not what its name says.
    """
    files = [file for path in paths for file in _expand(Path(path))]
    for file in files:
        _check(file)
    return files


def format_of(path: Path) -> str:
    """Which format does the name promise, without its compression?

    >>> format_of(Path("a.jsonl.gz")), format_of(Path("b.PARQUET"))
    ('.jsonl', '.parquet')
    """
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    return name.suffix.lower()


def open_stream(path: Path) -> io.BufferedReader:
    """Open the decompressed bytes; a truncated file raises one of `BREAKS`, after all that precedes the cut."""
    file = open(path, "rb")  # noqa: SIM115  the reader returned owns it
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return io.BufferedReader(_Chunks(file, _inflate(file)), 1 << 18)
    if suffix == ".zst":
        return io.BufferedReader(_Chunks(file, _unzstd(file)), 1 << 18)
    return file


def read_whole(path: Path, stream: io.BufferedReader, into: bytearray) -> None:
    """Append all of the stream to `into`, which keeps what precedes a break.

    Raises:
        DataError: more than `MAX_DOCUMENT_BYTES`.
    """
    while chunk := stream.read1(1 << 20):
        into += chunk
        if len(into) > MAX_DOCUMENT_BYTES:
            raise DataError(f"{path}: over {MAX_DOCUMENT_BYTES} bytes in one document; JSONL has no such bound")


def _expand(path: Path) -> list[Path]:
    """The data files under one path given by the user."""
    try:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        files = _folder(path) if path.is_dir() else [path]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if not files:
        raise DataError(f"{path}: no data file in this folder (looked for {', '.join(FORMATS)})")
    return files


def _folder(folder: Path) -> list[Path]:
    """The data files of a folder, its subfolders included; linked folders are not followed, they could be loops."""
    state = folder / "state.json"
    if state.is_file():
        try:
            listed = [folder / Path(entry["filename"]).name for entry in json.loads(state.read_bytes())["_data_files"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise DataError(f"{state}: does not list the data files of a saved dataset") from None
        return listed
    files: list[Path] = []
    for child in sorted(folder.iterdir()):
        if child.name.startswith((".", "_")) or child.name in _METADATA:
            continue
        if child.is_dir():
            files += [] if child.is_symlink() else _folder(child)
        elif format_of(child) in FORMATS and not child.name.startswith("cache-"):
            files.append(child)
    return files


def _check(path: Path) -> None:
    """Is the file what its name says? Looks at the first bytes only."""
    kind = format_of(path)
    if kind not in FORMATS:
        raise DataError(f"{path}: unknown format {kind!r} (known: {', '.join(FORMATS)}, each also .gz or .zst)")
    if not path.is_file():
        raise DataError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    try:
        with open_stream(path) as stream:
            head = stream.read1(4096)
    except BREAKS as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if kind == ".parquet" and head[:4] != b"PAR1":
        raise DataError(f"{path}: not a Parquet file (it does not begin with PAR1)")
    if kind in (".parquet", ".arrow"):
        return
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: UTF-16 text; convert it to UTF-8")
    if b"\0" in head:
        container = _CONTAINERS.get(head[:2])
        raise DataError(f"{path}: binary, not text" + (f" (looks like {container})" if container else ""))


class _Chunks(io.RawIOBase):
    """A raw stream over an iterator of byte strings; closes the file beneath."""

    def __init__(self, file: BinaryIO, chunks: Iterator[bytes]) -> None:
        """Take over both."""
        self._file = file
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Give at most one chunk at a time, so that an error never swallows data that came before it."""
        view = memoryview(buffer).cast("B")
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        n = min(len(view), len(self._rest))
        view[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    def close(self) -> None:
        """Close the file beneath too."""
        self._file.close()
        super().close()


def _inflate(file: BinaryIO) -> Iterator[bytes]:
    """Decompress gzip."""
    return _frames(file, lambda: zlib.decompressobj(wbits=31), 1 << 16)


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    """Decompress zstd."""
    import zstandard

    try:
        # 4 KiB at a time: one block of four bytes can stand for 128 KiB
        yield from _frames(file, lambda: zstandard.ZstdDecompressor().decompressobj(), 1 << 12)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from None


def _frames(file: BinaryIO, start: Callable[[], Any], piece: int) -> Iterator[bytes]:
    """Decompress frame after frame; raises EOFError where the last one is not finished."""
    frame = start()
    while data := file.read(piece):
        while data:
            if frame.eof:
                data = data.lstrip(b"\0")  # gzip allows zero padding after the last member
                if not data:
                    break
                frame = start()
            yield frame.decompress(data)
            data = frame.unused_data
    if not frame.eof:
        raise EOFError("the compressed data ends too early")
