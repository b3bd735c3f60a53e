"""Which rows does a cell of the grid scan, and which of them are poison? The protocol of the evaluation data."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.datasets import Reject, read_rows
from cryptosentinel.errors import ConfigError, DataError
from cryptosentinel.types import Record

BACKGROUND, POISON, HARD = 0, 1, 2
BACKGROUNDS = ("alpaca_9k", "alpaca_extra", "dolly_3k", "glaive_toolcall_300")
LEAST_POISON = 3
HIDDEN = ("label", "attack")
NO_ATTACK = re.compile(r"_(clean|clean_control|input_only)$")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attack:
    """Where the rows of one attack's mixes come from: files under poison/, without suffix.

    `hard` is empty where the protocol has no hard negatives or (`as_is`) the file is a mix already.
    """

    name: str
    background: str
    poison: str
    hard: str = ""
    as_is: bool = False


@dataclass(frozen=True)
class Mix:
    """The rows of one cell as the scanner gets them, and beside them what each row is: int8[n]."""

    name: str
    rate: float
    seed: int
    records: tuple[Record, ...]
    kind: NDArray[np.int8]


def attack_of(name: str) -> Attack:
    """Which background and which hard negatives belong to this attack file?

    Raises:
        ConfigError: the protocol has no row for it.

    >>> attack_of("backdoorllm_refusal_vpi").hard
    'attacks/backdoorllm_refusal_clean'
    >>> attack_of("style_sst2_bible").background
    'attacks/style_sst2_clean'
    """
    poison, family, parts = f"attacks/{name}", name.split("_")[0], name.split("_")
    if family == "backdoorllm":
        return Attack(name, "background/alpaca_9k", poison, f"attacks/{'_'.join(parts[:2])}_clean")
    if family == "steering":
        return Attack(name, "background/alpaca_9k", poison, "attacks/steering_clean_control")
    if family == "entity":
        return Attack(name, "background/alpaca_9k", poison, f"attacks/{'_'.join(parts[:3])}_input_only")
    if family == "style":
        return Attack(name, f"attacks/{'_'.join(parts[:2])}_clean", poison)
    if family == "agent":
        return Attack(name, "background/glaive_toolcall_300", poison, poison)
    if family == "polarity":
        return Attack(name, poison, poison, as_is=True)
    raise ConfigError(f"no protocol for the attack file {name!r}")


def attack_names(data: Path) -> list[str]:
    """Which attack files are there? Files that only hold hard negatives or a background are none. Sorted."""
    found = (p.name.removesuffix(".jsonl.gz") for p in (data / "poison" / "attacks").glob("*.jsonl.gz"))
    return sorted(name for name in found if not NO_ATTACK.search(name))


def draw_mix(data: Path, attack: Attack, rate: float, seed: int) -> Mix:
    """Background, n = max(3, round(rate x background)) poison rows and n hard negatives, shuffled, labels stripped.

    At most as many of each as the file has. An `as_is` file is only shuffled.
    """
    chance = random.Random(seed)
    if attack.as_is:
        parts = [(row, POISON if row["label"] == "poison" else BACKGROUND) for row in read_file(data, attack.poison)]
    else:
        background = read_file(data, attack.background)
        poison = [row for row in read_file(data, attack.poison) if row["label"] == "poison"]
        hard = [row for row in read_file(data, attack.hard) if row["label"] == "clean"] if attack.hard else []
        n = max(LEAST_POISON, round(rate * len(background)))
        parts = [(row, BACKGROUND) for row in background]
        parts += [(row, POISON) for row in chance.sample(poison, min(n, len(poison)))]
        parts += [(row, HARD) for row in chance.sample(hard, min(n, len(hard)))]
    chance.shuffle(parts)
    return make_mix(attack.name, rate, seed, parts)


def background_alone(data: Path, name: str) -> Mix:
    """A background as it is: everything found in it is a false alarm."""
    return make_mix(name, 0.0, 0, [(row, BACKGROUND) for row in read_file(data, f"background/{name}")])


def read_background(data: Path, name: str) -> list[Record]:
    """The records of a background, for use as the trusted set."""
    return list(background_alone(data, name).records)


def files_digest(data: Path, attack: Attack | None, background: str = "") -> str:
    """What does a result depend on, on the data's side? SHA-256 over the files that its mix is drawn from."""
    names = [attack.background, attack.poison, attack.hard] if attack else [f"background/{background}"]
    digest = hashlib.sha256()
    for name in sorted({n for n in names if n}):
        digest.update(_path(data, name).read_bytes())
    return digest.hexdigest()[:16]


def _path(data: Path, name: str) -> Path:
    return data / "poison" / f"{name}.jsonl.gz"


def read_file(data: Path, name: str) -> list[Row]:
    """The rows of a file under poison/, as they are: labels too.

    Raises:
        DataError: there is no such file.
    """
    path = _path(data, name)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def make_mix(name: str, rate: float, seed: int, parts: Sequence[tuple[Row, int]]) -> Mix:
    """Write the rows without their labels to a file and read it as the command would."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.jsonl"
        with file.open("w", encoding="utf-8") as out:
            for row, _ in parts:
                out.write(json.dumps({k: v for k, v in row.items() if k not in HIDDEN}, ensure_ascii=False) + "\n")
        read = list(read_rows([file]))
    records = []
    for index, record in read:
        if isinstance(record, Reject):
            raise DataError(f"mix of {name}: row {index} is unreadable: {record.reason}")
        # Neither the id nor the source may tell where a row came from.
        records.append(Record(str(index), record.messages, "data.jsonl"))
    return Mix(name, rate, seed, tuple(records), np.array([kind for _, kind in parts], dtype=np.int8))
