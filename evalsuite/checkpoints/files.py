"""A model's configuration and tokenizer files; `weights` finds its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.checkpoints.formats import format_of
from evalsuite.checkpoints.headers import read_gguf_header
from evalsuite.checkpoints.model_files import ModelFiles
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
"""Patterns of the files that decide how text becomes tokens; a tokenizer with code may read others, too."""

VOCABULARY_KEYS = ("vocab_size", "n_words", "padded_vocab_size")
CONTEXT_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


def tokenizer_files(files: ModelFiles) -> tuple[Path, ...]:
    """The files that decide how text becomes tokens, by name; for a GGUF file or a checkpoint that path."""
    path = files.gguf_path or files.checkpoint
    if path and not files.tokenizer_folder:
        return (path,)
    folder = files.tokenizer_folder or files.folder
    return tuple(sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)}))


def read_config(files: ModelFiles) -> dict[str, Any]:
    """`config.json` as a mapping; for a GGUF file or a checkpoint the same keys, as far as it has them.

    Raises:
        ModelError: missing or unreadable.
    """
    if files.gguf_path:
        return _gguf_config(read_gguf_header(files.gguf_path))
    if found := format_of(files):
        return found.config(files)
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
    return with_text_values(config)


def with_text_values(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with its language model's values, which models that see or hear keep one level down."""
    return {**(config.get("text_config") or {}), **config}


def read_generation_config(files: ModelFiles) -> dict[str, Any]:
    """`generation_config.json` as a mapping; empty if it is missing or unreadable."""
    if not files.is_hf_folder and files.model_config is None:
        return {}
    folder = files.model_config or files.folder
    try:
        config = json.loads((folder / "generation_config.json").read_text("utf-8"))
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
    """Rows of the embedding and the LM head by the configuration; None if it does not state them."""
    return vocabulary_in(read_config(files))


def vocabulary_in(config: Mapping[str, Any]) -> int | None:
    """As `vocabulary_rows`, of a configuration that is already read."""
    stated = next((config[key] for key in VOCABULARY_KEYS if isinstance(config.get(key), int)), None)
    more = config.get("additional_vocab_size")  # IDEFICS: rows beside those of `vocab_size`
    return stated if stated is None or not isinstance(more, int) else stated + more


def context_window(files: ModelFiles) -> int | None:
    """Longest sequence in tokens that the configuration allows; None if it states no limit."""
    return window_in(read_config(files))


def window_in(config: Mapping[str, Any]) -> int | None:
    """As `context_window`, of a configuration that is already read."""
    stated = (config.get(key) for key in CONTEXT_WINDOW_KEYS)
    return next((value for value in stated if type(value) is int and value > 0), None)
