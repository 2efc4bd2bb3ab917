"""Small tasks over a small mirror: joined configurations, two tasks of one split, a stand-in, a release."""

import gzip
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from evalsuite.prefetch.fetch import Fetched, fetch_task
from evalsuite.prefetch.folder import opened
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import Selected
from tests.data.tiny_mirror import TinyMirror

PLUGIN = """
from evalsuite import DatasetRef, OpenAnswer, Pin, PromptSpec, Task
from evalsuite.data.refs import Release, StandIn

RELEASE = Release("release/tests.jsonl.gz", "NO_SUCH_VARIABLE", "none.jsonl", "get_none")


def task(name, data, question="ask", **shots):
    spec = PromptSpec(
        recipe="small", task=name, version=1, source={"status": "ours"}, format="gold",
        question="{{ stem }}", scorer="gold", metrics=["acc"], shots=shots,
    )
    return Task(
        name=name, title="", data=data, split="test", chance=None, comparability=1, prompts=(spec,),
        question=lambda row: OpenAnswer(row[question], (row["answer"],)),
    )


SHOTS = {"count": 1, "split": "train"}
EXEMPLARS = {
    "count": 2,
    "exemplars": {
        "package": "lm-eval", "file": "lm_eval/tasks/gsm8k/gsm8k-cot.yaml", "at": "fewshot_config.samples",
        "prefix_sha256": "PREFIX",
    },
}
TASKS = [
    task("sums", DatasetRef("small/sums", ("ask", "answer")), **SHOTS),
    task("hints", DatasetRef("small/sums", ("hint", "answer")), "hint"),
    task("tongues", DatasetRef("small/tongues", ("ask", "answer"), configs=("de", "en"))),
    task(
        "stood_in",
        DatasetRef("small/sums", ("ask", "answer"), stand_ins={"train2": StandIn("other", Pin(2), "More.")}),
        count=1, split="train2",
    ),
    task("released", DatasetRef("small/code", ("ask", "answer"), "release", releases={"test": RELEASE})),
    task("several", DatasetRef("small/{config}", ("ask", "answer"), configs=("of_a", "of_b"))),
    task("one_file", DatasetRef("small/big", ("ask", "answer"), data_files={"test": "en/0-of-8.json.gz"})),
    task("worked", DatasetRef("small/sums", ("ask", "answer")), **EXEMPLARS),
]
"""


def sums(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"ask": f"{n} + {n} =", "answer": str(2 * n), "hint": f"twice {n} is", "level": n}
        for n in range(first, first + count)
    ]


def write_source(folder: Path, rows: int = 6) -> TinyMirror:
    """The mirror that the tasks are fetched from."""
    mirror = TinyMirror(folder)
    files = {
        ("default", "test"): sums(rows),
        ("default", "train"): sums(2, 100),
        ("other", "train2"): sums(2, 200),
    }
    configs: dict[str, list[dict[str, str]]] = {}
    for (config, split), own in files.items():
        mirror.write("small/sums", f"{config}/{split}.parquet", own)
        configs.setdefault(config, []).append({"split": split, "path": f"{config}/{split}.parquet"})
    mirror.declare("small/sums", *({"config_name": name, "data_files": own} for name, own in configs.items()))
    for config in ("de", "en"):
        mirror.write("small/tongues", f"{config}/test.parquet", sums(2, len(config)))
    for name in ("of_a", "of_b"):
        mirror.add(f"small/{name}", "test", sums(2, len(name)))
    odd = [{"ask": "f", "answer": "1", "more": {"a": [1, "x"]}}, {"ask": "g", "answer": "2", "more": {}}]
    for path in ("small/code/release/tests.jsonl.gz", "small/big/en/0-of-8.json.gz"):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in odd).encode()))
    return mirror


@pytest.fixture
def source(tmp_path) -> TinyMirror:
    return write_source(tmp_path / "source")


@pytest.fixture
def plugin(tmp_path) -> Path:
    path = tmp_path / "small.py"
    path.write_text(textwrap.dedent(PLUGIN))
    return path


@pytest.fixture
def tasks(plugin):
    """Selects the plug-in's tasks by name."""
    registry = Registry.load([plugin])

    def select(*names: str) -> list[Selected]:
        return registry.select([f"small/{name}" for name in names])

    return select


def fetch(selected: list[Selected], out: Path, source: Path | None) -> list[Fetched]:
    """Fetch tasks into a folder, as one call of the command does."""
    with opened(out) as folder:
        return [fetch_task(one, folder, data_dir=source) for one in selected]
