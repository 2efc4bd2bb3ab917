"""References to pinned data: which rows a task means, and how to know that they are the right ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pin:
    """What one split must contain."""

    rows: int
    """Expected number of rows."""
    fingerprint: str | None = None
    """`fingerprint()` of the rows' used columns; None where no authoritative copy was at hand."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """Rows to use where a split cannot be had; always named in the results."""

    config: str
    """Configuration of the same data set that holds them."""
    pin: Pin
    difference: str
    """How they differ from the real split, in one sentence."""


@dataclass(frozen=True, slots=True)
class Release:
    """A file that EvalPlus publishes beside its hub data set."""

    file: str
    """Below the data set's folder in a mirror."""
    override: str
    """EvalPlus's environment variable with the path of a file to use in its place."""
    cached: str
    """The file's name in EvalPlus's cache."""
    fetch: str
    """The function of `evalplus.data` that fetches it."""


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A data set as the Hugging Face hub names it, with the pins of the splits a task uses."""

    id: str
    """Hub id (`openai/gsm8k`), or a name of your own when `files` are given."""
    columns: tuple[str, ...]
    """Columns the task reads; only they are loaded, checked and fingerprinted."""
    config: str = "default"
    revision: str | None = None
    """Hub commit, where a source names one."""
    splits: Mapping[str, Pin] = field(default_factory=dict)
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    """By split: what to use where no source has it."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """By split: a local .jsonl, .csv or .parquet file in place of the hub (for tasks of your own)."""
    releases: Mapping[str, Release] = field(default_factory=dict)
    """By split: a file of EvalPlus in place of the hub."""
    configs: tuple[str, ...] = ()
    """Several configurations read one after another as one split; each row has its own as column `config`."""

    def __str__(self) -> str:
        config = ",".join(self.configs) or self.config
        return self.id if config == "default" else f"{self.id}:{config}"
