"""`evalsuite run --plan-only`: counts before anything runs."""

import json

import pytest

from tests.runs.bench import ADDRESSES


def test_it_counts_by_task_and_in_all_and_leaves_nothing_behind(run, bench):
    done = run(plan_only=True)
    assert done.code == 0
    for words in (*ADDRESSES, "total", "planned", "peak memory about", "tokens"):
        assert words in done.out
    assert not bench.out.exists()


def test_the_smoke_test_is_counted_beside_the_tasks(run):
    plan = json.loads(run(plan_only=True, json=True).out)
    assert plan["smoke_tokens"] > 1900  # a token per byte
    assert f"the smoke test of the model computes {plan['smoke_tokens']:,} tokens" in run(plan_only=True).out
    assert json.loads(run(plan_only=True, json=True, no_smoke=True).out)["smoke_tokens"] == 0


def test_no_weights_are_loaded(run, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.native.loading.load.load_model", None)
    assert run(plan_only=True).code == 0


def test_the_counts_are_those_of_the_run(run):
    plan = json.loads(run("quiz", "quiz:letters", plan_only=True, json=True).out)
    letters, total = plan["tasks"]["quiz:letters"], plan["total"]
    # Three letters of two bytes each: " " is read from one row, and what follows it from another.
    assert letters["rows"] == 2 * letters["requests"] / 3
    for work in (*plan["tasks"].values(), total):
        assert work["distinct"] <= work["planned"] <= work["requested"]
    assert total["requests"] == sum(work["requests"] for work in plan["tasks"].values())
    assert total["distinct"] <= sum(work["distinct"] for work in plan["tasks"].values())
    memory = plan["memory"]
    assert memory["total"] == memory["weights"] + memory["copies"] + memory["forward"]
    computed = json.loads(run("quiz", "quiz:letters", json=True).out)
    assert sum(task["tokens"] for task in computed["tasks"]) == pytest.approx(total["planned"], abs=2)
    assert [task["requests"] for task in computed["tasks"]] == [
        plan["tasks"][task["name"]]["requests"] for task in computed["tasks"]
    ]


@pytest.mark.parametrize(("free", "copied"), [(2**40, True), (0, False)])
def test_copies_of_the_weights_are_told_where_they_will_be_made(run, monkeypatch, free, copied):
    monkeypatch.setattr("evalsuite.engine.native.memory.free_bytes", lambda device: free)
    memory = json.loads(run("quiz", plan_only=True, json=True).out)["memory"]
    assert memory["copies"] == (memory["weights"] if copied else 0)


def test_texts_are_counted_by_their_prompts_and_their_longest_answers(run):
    plan = json.loads(run("sums", plan_only=True, json=True).out)["total"]
    assert plan["packs"] == plan["rows"] == 0
    assert plan["generated_at_most"] > 0
    assert plan["planned"] >= plan["distinct"] > 0


def test_a_model_that_is_scored_in_batches_says_why(run, monkeypatch):
    monkeypatch.setattr("evalsuite.engine.native.tried.unsupported_reason", lambda *_, **__: "it hums")
    done = run("quiz", plan_only=True)
    assert "scoring runs in padded batches: it hums" in done.out
    plan = json.loads(run("quiz", plan_only=True, json=True).out)
    assert plan["in_batches"] == "it hums"
    assert plan["total"]["planned"] > plan["total"]["distinct"]


def test_it_says_that_packed_trees_were_not_tried_on_this_model_until_a_run_has(run):
    untried = run("quiz", plan_only=True)
    assert "no run has tested the model here yet. If packed trees fail their test" in untried.out
    assert json.loads(run("quiz", plan_only=True, json=True).out)["tried"] is False
    assert run("quiz").code == 0
    tried = run("quiz", plan_only=True)
    assert "tried it here" not in tried.out
    assert json.loads(run("quiz", plan_only=True, json=True).out)["tried"] is True


def test_rounded_logits_are_part_of_the_run(run, bench):
    done = run("quiz", dtype="bfloat16", logits_dtype="model", json=True)
    log = json.loads(done.out)
    assert log["spec"]["logits_dtype"] == "model"
    assert log["model"]["numerics"] == "transformers bfloat16 cpu float32-sums packed rounded-scores"
    assert run("quiz", out=bench.out / "other", logits_dtype="half").code == 2
