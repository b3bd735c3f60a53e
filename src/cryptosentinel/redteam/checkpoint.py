"""Where a training stands, so that it can go on: adapters, optimizer, step, and the digest of what they belong to."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError, SandboxError
from cryptosentinel.files import atomic_write
from cryptosentinel.redteam.sandbox import in_sandbox, mark_artefact

FILE = "training.safetensors"


class Checkpoint:
    """One training's place in its own folder, which lies in the sandbox's and is wiped with it.

    Args:
        folder: where; made and marked as an artefact.
        belongs_to: what determines the result, by name: numbers, texts or digests.

    Raises:
        SandboxError: the folder does not lie in the working folder of a sandbox.
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, belongs_to: Mapping[str, str | int]) -> None:
        """Make the folder; nothing is read yet."""
        if not in_sandbox() or not folder.resolve().is_relative_to(Path.cwd().resolve()):
            raise SandboxError(
                f"a checkpoint holds poisoned weights: it is kept in the sandbox's own folder, not {folder}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        mark_artefact(folder)
        self.path = folder / FILE
        self.belongs_to = dict(belongs_to)

    def save(self, step: int, tensors: Mapping[str, Any]) -> None:
        """Keep the state after `step` steps in the place of the last one, whole or not at all.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        from safetensors.torch import save

        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        told = {"step": str(step), "belongs_to": json.dumps(self.belongs_to), "sha256": tensor_digest(plain.items())}
        atomic_write(self.path, save(plain, metadata=told))

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """The last state kept; None where there is none or, with a warning, where it is damaged.

        Raises:
            ConfigError: it is that of another training.
        """
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                told = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
            step, belongs_to = int(told["step"]), json.loads(told["belongs_to"])
            if told["sha256"] != tensor_digest(tensors.items()):
                raise ValueError("its digest is another")
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            warnings.warn(f"{self.path.name} is damaged ({error}): the training starts anew", stacklevel=3)
            return None
        other = [name for name, value in self.belongs_to.items() if belongs_to.get(name) != value]
        if other:
            raise ConfigError(f"the checkpoint {self.path} is of another training (by {', '.join(other)}): delete it")
        return step, tensors


def tensor_digest(tensors: Iterable[tuple[str, Any]]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names.

    >>> tensor_digest([])[:8]
    'e3b0c442'
    """
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
