"""One tiny random model, asked three ways: by lm-eval's own backend, by lm-eval with our engine, and by
evalsuite."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from evalsuite import api
from evalsuite.lm_eval_bridge.data import data_from
from evalsuite.registry.addresses import file_stem
from evalsuite.results.runlog import RunLog
from evalsuite.results.samples import read_samples
from tests.engine.tiny import BOS, EOS, VOCABULARY, byte_tokenizer
from tests.golden.golden import SHARED
from tests.lm_eval_bridge import local_tasks

LIMIT = 3
WINDOW = 8192


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory) -> Iterator[None]:
    """Data of tests stays out of the user's cache."""
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A random Llama of one token per byte, with room for few-shot prompts."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    folder = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Path:
    """Folder with definitions of our own."""
    return local_tasks.write(tmp_path_factory.mktemp("local"))


@dataclass(frozen=True)
class Theirs:
    """What lm-eval's `simple_evaluate` gives."""

    results: dict[str, Any]

    def metrics(self, task: str) -> dict[str, float]:
        """By our name of the metric."""
        found = self.results["results"][task]
        return {
            name.removesuffix(",none"): value
            for name, value in found.items()
            if "," in name and "_stderr" not in name and not isinstance(value, str)
        }

    def samples(self, task: str) -> list[dict]:
        """In document order, of the first filter."""
        rows = self.results["samples"][task]
        return sorted(
            (row for row in rows if row["filter"] == rows[0]["filter"]), key=lambda row: row["doc_id"]
        )


def task_manager(local: Path) -> Any:
    """lm-eval's own, with the names that our scan found in place of its 13 s index (`test_index` compares the
    two)."""
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import Entry, Kind

    from evalsuite.lm_eval_bridge.index import names

    manager = TaskManager(include_defaults=False, include_path=str(local))
    kinds = {"task": Kind.TASK, "group": Kind.GROUP, "tag": Kind.TAG}
    for name, one in names().items():
        path = Path(one.path) if one.path else None
        manager._index.setdefault(name, Entry(name, kinds[one.kind], path, tags=set(one.members)))
    return manager


def evaluate(model: Any, tasks: list[str], local: Path, data: Path = SHARED, **options: Any) -> Theirs:
    """`simple_evaluate` on a mirror's data."""
    from lm_eval.evaluator import simple_evaluate

    with data_from(data, {"train", "validation"}):
        return Theirs(
            simple_evaluate(
                model=model, tasks=tasks, task_manager=task_manager(local), bootstrap_iters=0, **options
            )
        )


def hf_model(folder: Path, **options: Any) -> Any:
    """lm-eval's own backend; its cache of logits gives wrong sums for continuations of unequal length."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(folder), device="cpu", dtype="float32", batch_size=1, logits_cache=False, **options
    )


@dataclass(frozen=True)
class Ours:
    """A run of evalsuite."""

    log: RunLog
    folder: Path

    def metrics(self, task: str) -> dict[str, float]:
        """Values by metric."""
        return {name: one.value for name, one in self.log.task(self._name(task)).metrics.items()}

    def samples(self, task: str) -> list[dict]:
        """Rows of the samples table."""
        return read_samples(self.folder / "samples" / f"{file_stem(self._name(task))}.parquet")

    def _name(self, task: str) -> str:
        """The shortest address, which has no recipe if only `lm_eval` has a spec of the task."""
        known = {record.name for record in self.log.tasks}
        return f"lm_eval/{task}" if f"lm_eval/{task}" in known else task


def run(
    model: Path, tasks: list[str], folder: Path, local: Path, data: Path = SHARED, **options: Any
) -> Ours:
    """Our own run of lm-eval's definitions."""
    log = api.run(
        [f"lm_eval/{name}" for name in tasks],
        str(model),
        out=folder,
        data=data if data.is_dir() else None,
        include=[local],
        device="cpu",
        dtype="float32",
        **options,
    )
    return Ours(log, folder)
