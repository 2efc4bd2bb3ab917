"""A model as files in a folder: its configuration and tokenizer; its weights are in `weights`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.checkpoints.headers import read_gguf_header
from evalsuite.checkpoints.nemo import read_archive
from evalsuite.checkpoints.nemo_config import nemotron_config
from evalsuite.errors import ModelError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
    "tokenizer.*.json",
    "encoder.json",
    "*.spm",
    "*.bpe",
    "*.codes",
    "*.vocab",
    "tokenization*.py",
)
"""Patterns of the files that decide how text becomes tokens; a tokenizer with code of its own may read others
too."""

VOCABULARY_KEYS = ("vocab_size", "n_words", "padded_vocab_size")
CONTEXT_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model's files are; made by `resolve`."""

    name: str
    """As the user wrote it."""
    folder: Path
    gguf_file: str | None = None
    """Name of the GGUF file in `folder` that is the whole model."""
    nemo_file: str | None = None
    """Name of the NeMo archive in `folder` that is the whole model."""
    hub_id: str | None = None
    revision: str | None = None
    """Commit on the hub, where known."""
    adapter: Path | None = None
    """Folder of a PEFT adapter that changes the weights; `folder` then holds its base model."""
    base: str = ""
    """How the adapter names its base model, where that is in another folder."""
    tokenizer_folder: Path | None = None
    """Where its tokenizer is, if not in `folder`."""

    @classmethod
    def elsewhere(cls, name: str, revision: str | None = None) -> "ModelFiles":
        """A model that is a name alone: its files are a server's business."""
        return cls(name, Path("/nonexistent"), revision=revision)

    @property
    def gguf_path(self) -> Path | None:
        """The GGUF file, if the model is one."""
        return self.folder / self.gguf_file if self.gguf_file else None

    @property
    def nemo_path(self) -> Path | None:
        """The NeMo archive, if the model is one."""
        return self.folder / self.nemo_file if self.nemo_file else None

    @property
    def only_file(self) -> Path | None:
        """The file that is the whole model, tokenizer included, if it is one."""
        return self.gguf_path or self.nemo_path


def tokenizer_files(files: ModelFiles) -> tuple[Path, ...]:
    """The files that decide how text becomes tokens, by name; for a GGUF or NeMo model that file."""
    if files.only_file:
        return (files.only_file,)
    folder = files.tokenizer_folder or files.folder
    return tuple(sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}))


def read_config(files: ModelFiles) -> dict[str, Any]:
    """`config.json` as a mapping; for a GGUF or NeMo file the same keys as far as its metadata has them.

    Raises:
        ModelError: missing or unreadable.
    """
    if files.gguf_path:
        return _gguf_config(read_gguf_header(files.gguf_path))
    if files.nemo_path:
        return nemotron_config(files.name, read_archive(files.nemo_path).settings)
    path = files.folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"Model '{files.name}' has no config.json in {files.folder}.") from None
    except OSError as error:
        raise ModelError(f"Model '{files.name}': {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ModelError(f"Model '{files.name}': {path} is not readable JSON.") from None
    if not isinstance(config, dict):
        raise ModelError(f"Model '{files.name}': {path} is not a JSON object.")
    for key, kind, word in (("model_type", str, "text"), ("text_config", dict, "an object")):
        if not isinstance(config.get(key, kind()), kind | None):
            raise ModelError(f"Model '{files.name}': '{key}' of {path} is not {word}.")
    # Models that also see or hear keep their language model's values one level down.
    return {**(config.get("text_config") or {}), **config}


def read_generation_config(files: ModelFiles) -> dict[str, Any]:
    """`generation_config.json` as a mapping; empty where there is none, or none that can be read."""
    if files.only_file:
        return {}
    try:
        config = json.loads((files.folder / "generation_config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _gguf_config(metadata: dict[str, Any]) -> dict[str, Any]:
    family = metadata.get("general.architecture", "")
    config = {
        "model_type": family,
        "max_position_embeddings": metadata.get(f"{family}.context_length"),
        "hidden_size": metadata.get(f"{family}.embedding_length"),
        "intermediate_size": metadata.get(f"{family}.feed_forward_length"),
        "vocab_size": metadata.get(f"{family}.vocab_size", metadata.get("tokenizer.ggml.tokens")),
    }
    return {key: value for key, value in config.items() if value is not None}


def vocabulary_rows(files: ModelFiles) -> int | None:
    """Rows of the embedding and the head, as the configuration states them; None if it does not."""
    config = read_config(files)
    stated = next((config[key] for key in VOCABULARY_KEYS if isinstance(config.get(key), int)), None)
    more = config.get("additional_vocab_size")  # IDEFICS: rows beside those of `vocab_size`
    return stated if stated is None or not isinstance(more, int) else stated + more


def context_window(files: ModelFiles) -> int | None:
    """Longest sequence in tokens that the configuration allows; None if it states none."""
    config = read_config(files)
    stated = (config.get(key) for key in CONTEXT_WINDOW_KEYS)
    return next((value for value in stated if type(value) is int and value > 0), None)
