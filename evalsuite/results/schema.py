"""Writes the JSON schema of the run log beside its module: `make schema`."""

import json
from pathlib import Path

from evalsuite.results.runlog import RunLog

FILE = Path(__file__).with_name("run.schema.json")


def schema_text() -> str:
    """The text of the schema file."""
    return json.dumps(RunLog.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")
