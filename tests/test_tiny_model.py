"""A run with the real engine, tokenizer, files and store: a tiny random Llama in its folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import evalsuite
from evalsuite.results.store import ResponseStore
from tests.runs.bench import ADDRESSES, Bench


def samples(bench: Bench, name: str) -> list[dict]:
    return pq.read_table(bench.out / "samples" / f"{name.replace(':', '.')}.parquet").to_pylist()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Bench, Path, evalsuite.RunLog]:
    """Bench, model folder and finished run of a tiny random Llama."""
    import torch

    from tests.engine.tiny import save, tiny_llama

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    bench = Bench.make(folder, documents=8)
    model = save(tiny_llama(), folder / "model")
    return bench, model, run_tiny(bench, model, bench.out)


def run_tiny(bench: Bench, model: Path, out: Path, **options) -> evalsuite.RunLog:
    return evalsuite.run(
        ADDRESSES, str(model), data=bench.data, include=[bench.plugin], out=out, device="cpu", **options
    )


def test_every_kind_of_task_is_scored(tiny):
    _, model, log = tiny
    assert log.status == "complete"
    assert [task.counts.scored for task in log.tasks] == [8] * 4
    assert {one.format for one in log.tasks} == {"cloze", "letters", "generate"}
    assert log.model.numerics == "transformers float32 cpu packed"
    assert log.model.id == str(model)
    assert all(task.tokens > 0 and task.seconds > 0 for task in log.tasks)


def test_an_answer_is_stored_for_each_request(tiny):
    bench, model, log = tiny
    plain = run_tiny(bench, model, bench.folder / "plain", smoke=False)
    assert [task.metrics for task in plain.tasks] == [task.metrics for task in log.tasks]
    stored = []
    for folder in (bench.folder / "plain", bench.out):
        store = ResponseStore(folder / "responses.sqlite")
        stored.append(len(store))
        store.close()
    assert stored[0] == sum(task.requests for task in log.tasks)
    assert stored[1] > stored[0]  # and those of the smoke test


def test_log_likelihoods_in_the_samples_are_those_of_plain_passes(tiny):
    from tests.engine.tiny import byte_tokenizer, log_probs_alone, tiny_llama

    bench, _, _ = tiny
    model, tokenizer = tiny_llama(), byte_tokenizer()
    for name in ("quiz", "quiz:letters", "pairs"):
        for row in samples(bench, name):
            contexts = row["contexts"] * (len(row["continuations"]) // len(row["contexts"]))
            for context, continuation, found in zip(
                contexts, row["continuations"], row["log_likelihoods"], strict=True
            ):
                ids = tuple(tokenizer.encode(context)), tuple(tokenizer.encode(continuation))
                assert found == pytest.approx(sum(log_probs_alone(model, *ids)), abs=1e-4)


def test_texts_in_the_samples_are_those_of_plain_passes(tiny):
    from tests.engine.tiny import EOS, byte_tokenizer, greedy_alone, tiny_llama

    bench, _, _ = tiny
    model, tokenizer = tiny_llama(), byte_tokenizer()
    for row in samples(bench, "sums"):
        ids = greedy_alone(model, tuple(tokenizer.encode(row["contexts"][0])), 6)
        ids = ids[: ids.index(EOS)] if EOS in ids else ids
        assert row["texts"] == [tokenizer.decode(ids, skip_special_tokens=True).split("\n")[0]]


def test_the_same_run_elsewhere_gives_the_same_digits(tiny, tmp_path):
    bench, model, log = tiny
    other = run_tiny(bench, model, tmp_path / "out")
    assert [task.metrics for task in other.tasks] == [task.metrics for task in log.tasks]
    for path in (bench.out / "samples").iterdir():
        assert pq.read_table(path).equals(pq.read_table(tmp_path / "out" / "samples" / path.name))


def test_a_finished_run_imports_neither_torch_nor_transformers(tiny):
    bench, model, log = tiny
    code = (
        "import sys, json, evalsuite; kwargs = json.loads(sys.argv[1]); log = evalsuite.run(**kwargs); "
        "heavy = [name for name in ('torch', 'transformers', 'datasets') if name in sys.modules]; "
        "print(json.dumps([log.status, log.started, heavy]))"
    )
    options = {
        "tasks": ADDRESSES,
        "model": str(model),
        "data": str(bench.data),
        "out": str(bench.out),
        "device": "cpu",
    }
    options["include"] = [str(bench.plugin)]
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(options)], capture_output=True, text=True, check=True
    )
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 5
    assert json.loads(done.stdout) == ["complete", log.started, []]


def test_other_weights_in_the_same_folder_are_computed_anew(tiny, tmp_path):
    from tests.engine.tiny import save, tiny_llama

    bench, _, log = tiny
    model = save(tiny_llama(), tmp_path / "model")
    first = run_tiny(bench, model, tmp_path / "out")
    save(tiny_llama(seed=1), model)
    second = run_tiny(bench, model, tmp_path / "out")
    assert first.model.weights_sha256 == log.model.weights_sha256 != second.model.weights_sha256
    assert all(task.tokens > 0 for task in second.tasks)
    rows = [pq.read_table(tmp_path / "out" / "samples" / "quiz.parquet").to_pylist(), samples(bench, "quiz")]
    assert rows[0][0]["log_likelihoods"] != rows[1][0]["log_likelihoods"]


def test_the_same_weights_elsewhere_share_a_store(tiny, tmp_path):
    from tests.engine.tiny import save, tiny_llama

    bench, model, _ = tiny
    other = save(tiny_llama(), tmp_path / "elsewhere")
    shared = tmp_path / "shared.sqlite"
    run_tiny(bench, model, tmp_path / "one", store=shared)
    log = run_tiny(bench, other, tmp_path / "two", store=shared)
    assert [task.tokens for task in log.tasks] == [0] * 4
    assert log.status == "complete"
    assert not (tmp_path / "two" / "responses.sqlite").exists()


@pytest.mark.usefixtures("quick_collections")
def test_running_out_of_memory_is_counted_and_mended_by_the_next_run(tiny, tmp_path, monkeypatch):
    import torch

    from evalsuite.engine.native import score_packed as packed

    bench, model, log = tiny
    original = packed.run_body

    def small(loaded, tree):
        if len(tree.pack) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(loaded, tree)

    monkeypatch.setattr(packed, "run_body", small)
    short = run_tiny(bench, model, tmp_path / "out")
    assert short.status == "incomplete"
    letters = short.task("quiz:letters")
    assert (letters.counts.failed, letters.metrics) == (8, {})
    assert "out of memory" in letters.problem
    assert short.task("quiz").metrics["acc"] == log.task("quiz").metrics["acc"]
    monkeypatch.undo()
    mended = run_tiny(bench, model, tmp_path / "out")
    assert mended.status == "complete"
    assert [task.metrics for task in mended.tasks] == [task.metrics for task in log.tasks]
    assert mended.task("quiz").tokens == 0
