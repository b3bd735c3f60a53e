"""A file is there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cryptosentinel.errors import ConfigError
from cryptosentinel.files import atomic_open, atomic_write, require_file, require_folder


def test_text_and_bytes(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "ü\n")
    atomic_write(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "a").read_bytes() == "ü\n".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a"
    atomic_write(target, "old")

    def write_and_fail() -> None:
        with atomic_open(target) as out:
            out.write(b"new")
            out.flush()
            assert target.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    atomic_write(target, "odd \udcff")
    assert target.read_bytes() == rb"odd \udcff"


def test_permissions_follow_the_umask_and_long_names_fit(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        target = tmp_path / ("n" * 250)
        atomic_write(target, "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_where_one_may_not_write(tmp_path: Path) -> None:
    for target in (tmp_path / "no" / "a", tmp_path / ("n" * 300)):
        with pytest.raises(OSError, match=r"No such file|too long") as caught:
            atomic_write(target, "x")
        assert caught.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IsADirectoryError) as folder:
        atomic_write(tmp_path, "x")
    assert folder.value.filename == str(tmp_path)


def test_where_results_go_is_made_and_tried_before_the_work(tmp_path: Path) -> None:
    require_folder(tmp_path / "a" / "b")
    require_file(tmp_path / "c" / "d")
    assert list((tmp_path / "a" / "b").iterdir()) == list((tmp_path / "c").iterdir()) == []
    (tmp_path / "file").touch()
    require_file(tmp_path / "file")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below" / "that"):
        with pytest.raises(ConfigError, match="must be a folder: it is a file, or lies below one"):
            require_folder(wrong)
    with pytest.raises(ConfigError, match="must be a file: it is a folder"):
        require_file(tmp_path / "c")
    with pytest.raises(ConfigError, match="file must be a folder"):
        require_file(tmp_path / "file" / "below")
