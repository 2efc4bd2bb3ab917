"""Where a model's files are."""

import re
from dataclasses import dataclass
from pathlib import Path

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
"""A model's name on the hub: `org/name`."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model's files are; made by `resolve`."""

    name: str
    """As the user wrote it."""
    folder: Path
    """The Hugging Face folder; for a GGUF file or another single file the folder that holds it."""
    gguf_file: str | None = None
    """Name of the GGUF file in `folder` that is the whole model."""
    format: str = ""
    """Name of the `CheckpointFormat` that reads the model; empty if transformers reads the files itself."""
    checkpoint: Path | None = None
    """The file or folder that `format` reads."""
    model_config: Path | None = None
    """Folder with the configuration and tokenizer of a raw `checkpoint`."""
    hub_id: str | None = None
    revision: str | None = None
    """Commit on the hub, where known."""
    adapter: Path | None = None
    """Folder of a PEFT adapter that changes the weights; `folder` then holds its base model."""
    base: str = ""
    """Name of the adapter's base model, if it is in another folder."""
    tokenizer_folder: Path | None = None
    """Folder of the tokenizer, if it is not `folder`."""

    @classmethod
    def elsewhere(cls, name: str, revision: str | None = None) -> "ModelFiles":
        """A model that is only a name here, because a server has its files."""
        return cls(name, Path("/nonexistent"), revision=revision)

    @property
    def gguf_path(self) -> Path | None:
        """The GGUF file, if the model is one."""
        return self.folder / self.gguf_file if self.gguf_file else None

    @property
    def is_hf_folder(self) -> bool:
        """Whether transformers loads configuration, weights and tokenizer from `folder` as they are."""
        return not self.gguf_file and not self.format
