"""`evalsuite run --shard` and `evalsuite merge` as a user meets them."""

import json

import pytest

from tests.runs.bench import ADDRESSES, read_json


def test_shards_and_their_merge_print_and_leave_what_one_run_does(run, cli, bench, tmp_path):
    whole = run()
    for index in range(2):
        done = run(out=tmp_path / f"s{index}", shard=f"{index}/2")
        assert done.code == 0
        first, last = done.out.splitlines()
        answered = read_json(tmp_path / f"s{index}" / "run.json")["shard"]["requests"]
        assert first == (
            f"shard {index}/2: {answered:,} of its {answered:,} requests are answered, in "
            f"{tmp_path / f's{index}'}"
        )
        assert last == "`evalsuite merge` of the folders of all 2 shards finishes the run."
    shared = ["--data", bench.data, "--include", bench.plugin, "--out", tmp_path / "merged"]
    done = cli("merge", tmp_path / "s1", tmp_path / "s0", *shared)
    assert done.code == 0
    assert all(task in done.out for task in ADDRESSES)
    assert done.out.splitlines()[-2:] == ["- Merged from 2 shards.", f"results in {tmp_path / 'merged'}"]
    stages = [line.split()[1] for line in done.err.splitlines()]
    assert stages == ["preparing", "encoding", "judging"]
    scores = [read_json(folder / "run.json")["tasks"] for folder in (bench.out, tmp_path / "merged")]
    assert [task["metrics"] for task in scores[0]] == [task["metrics"] for task in scores[1]]
    assert whole.code == 0
    again = cli("merge", tmp_path / "s0", tmp_path / "s1", *shared, "--json")
    assert json.loads(again.out) == read_json(tmp_path / "merged" / "run.json")


@pytest.mark.parametrize(
    ("shard", "said"),
    [
        ("3/3", "--shard 3/3: shards are numbered from 0; use 0/3 to 2/3."),
        ("a/b", "--shard must be i/n, for example 0/3, got 'a/b'."),
    ],
)
def test_what_is_no_shard_is_one_sentence(run, shard, said):
    done = run("pairs", shard=shard)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"evalsuite: {said}\n"


def test_a_missing_shard_is_one_sentence_and_exit_code_2(run, cli, tmp_path, bench):
    run("pairs", out=tmp_path / "s0", shard="0/2")
    done = cli("merge", tmp_path / "s0", "--out", tmp_path / "merged")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "evalsuite: Shard 1/2 is missing; the other shards are kept. "
        "Run it with --shard or add its folder, and merge again.\n"
    )


def test_a_shard_is_counted_with_the_whole_run_only(run, tmp_path):
    done = run("pairs", out=tmp_path / "s0", shard="0/2", plan_only=True)
    assert (done.code, done.out) == (2, "")
    assert "leave out --shard" in done.err
    assert "leave out --store" in run("pairs", out=tmp_path / "s0", shard="0/2", store=tmp_path / "x").err
