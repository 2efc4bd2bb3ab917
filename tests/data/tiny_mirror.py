"""Writes data sets in the hub's layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

QUESTIONS = [
    {"question": "What is 1 + 1?", "choices": ["1", "2"], "answer": 1},
    {"question": "Wie heißt 3 − 3?", "choices": ["0", "3"], "answer": 0},
]


@dataclass(frozen=True)
class TinyMirror:
    """A mirror folder that tests fill."""

    folder: Path

    def declare(self, id: str, *configs: dict[str, Any]) -> None:
        """Write a README whose header has these configurations."""
        readme = self.folder / id / "README.md"
        readme.parent.mkdir(parents=True, exist_ok=True)
        readme.write_text(f"---\n{yaml.safe_dump({'configs': list(configs)})}---\n\n# {id}\n", "utf-8")

    def write(self, id: str, path: str, rows: Sequence[dict[str, Any]]) -> Path:
        """Write rows as a Parquet file of a data set."""
        target = self.folder / id / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(list(rows)), target)
        return target

    def add(self, id: str, split: str, rows: Sequence[dict[str, Any]], config: str = "default") -> Path:
        """A data set of one split in one file."""
        path = f"{config}/{split}-00000-of-00001.parquet"
        self.declare(id, {"config_name": config, "data_files": [{"split": split, "path": path}]})
        return self.write(id, path, rows)
