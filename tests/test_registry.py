"""Extensions are found by kind and exact name, and nobody takes another's place unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptosentinel import registry
from cryptosentinel.errors import ConfigError
from cryptosentinel.registry import load_third_party, lookup, names, register


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    known = dict(registry._ENTRIES)
    yield
    registry._ENTRIES.clear()
    registry._ENTRIES.update(known)


def test_what_is_registered_is_found_by_its_exact_name() -> None:
    @register("fruit", "pear", version=3)
    class Pear: ...

    @register("fruit", "apple")
    def apple() -> None: ...

    assert names("fruit") == ["apple", "pear"]
    entry = lookup("fruit", "pear")
    assert (entry.kind, entry.name, entry.version, entry.target) == ("fruit", "pear", 3, Pear)
    assert lookup("fruit", "apple").version == 1
    for kind, name in (("fruit", "Pear"), ("fruit", "pea"), ("tree", "pear")):
        with pytest.raises(ConfigError, match=f"unknown {kind} '{name}' "):
            lookup(kind, name)
    with pytest.raises(ConfigError, match=r"\(known: apple, pear\)"):
        lookup("fruit", "plum")
    with pytest.raises(ConfigError, match=r"\(known: none\)"):
        lookup("tree", "oak")


def test_a_name_is_taken_once_but_the_same_code_may_come_again() -> None:
    def made() -> type:
        @register("fruit", "pear")
        class Pear: ...

        return Pear

    made()
    again = made()
    assert lookup("fruit", "pear").target is again
    with pytest.raises(ConfigError, match=r"fruit 'pear' is registered twice: .*Pear.*intruder"):

        @register("fruit", "pear")
        def intruder() -> None: ...

    assert lookup("fruit", "pear").target is again


def test_a_package_adds_its_own_through_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_fruit.py").write_text(
        "from cryptosentinel.registry import register\n@register('fruit', 'quince')\ndef quince(): ...\n"
    )
    info = tmp_path / "their_fruit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-fruit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cryptosentinel.extensions]\ntheirs = their_fruit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" in load_third_party()
    assert names("fruit") == ["quince"]
    sys.modules.pop("their_fruit")
    (tmp_path / "their_fruit.py").write_text("import no_such_package\n")
    with pytest.raises(ConfigError, match=r"extension 'theirs' \(their_fruit\): ModuleNotFoundError: No module"):
        load_third_party()
