"""Shards take whole parts of a plan: each request once, in equal shares, and what they are is told to all
readers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evalsuite
from evalsuite.engine.planning.partition import dealt
from evalsuite.errors import StorageError, UserError
from evalsuite.results.read import open_run
from evalsuite.runs.shards import Shard, share_of
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.runs.bench import ADDRESSES, Bench, ScriptedEngine, read_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3/3", "numbered from 0; use 0/3 to 2/3"),
        ("1/1", "numbered from 0; use 0/1"),
        ("0/0", "must be at least 1"),
        ("a/b", "must be i/n"),
        ("1", "must be i/n"),
        ("-1/3", "must be i/n"),
        ("1/3/5", "must be i/n"),
        ("", "must be i/n"),
        ("٣/٤", "must be i/n"),
    ],
)
def test_what_is_no_shard_is_said_in_a_sentence(text, said):
    with pytest.raises(UserError, match=said):
        Shard.parse(text)


def test_a_shard_is_written_as_it_is_read():
    assert Shard.parse("0/3") == Shard(0, 3)
    assert str(Shard.parse(" 2/10 ")) == "2/10"


sizes = st.lists(st.integers(0, 50), max_size=30)


@given(sizes, st.integers(1, 6))
def test_every_part_is_dealt_once_and_nobody_has_more_than_the_largest_part_too_much(sizes, count):
    places = dealt(sizes, count)
    assert sorted(place for some in places for place in some) == list(range(len(sizes)))
    loads = [sum(sizes[place] for place in some) for some in places]
    assert loads == sorted(loads, reverse=True)
    assert max(loads) - min(loads) <= max(sizes, default=0)


def test_who_has_most_of_one_kind_of_work_takes_least_of_the_other():
    engine = ScriptedEngine(block=1)
    scores = [ScoreRequest((5,) * length, (6,)) for length in (9, 5, 3)]
    texts = [GenerateRequest((7,) * length, (), 4) for length in (20, 4, 2)]
    shares = [share_of(Shard(index, 2), engine, scores, texts) for index in range(2)]
    assert shares == [{scores[0], texts[1], texts[2]}, {scores[1], scores[2], texts[0]}]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("sharding"), documents=6)


def run(bench: Bench, model, out, **options) -> evalsuite.RunLog:
    return evalsuite.run(
        options.pop("tasks", ADDRESSES),
        str(model),
        data=bench.data,
        include=[bench.plugin],
        out=out,
        device="cpu",
        **options,
    )


def test_a_shard_ends_as_a_shard_and_answers_nothing_again(bench, model, tmp_path):
    log = run(bench, model, tmp_path / "one", shard="1/2")
    assert log.status == "shard"
    assert log.tasks == ()
    assert (log.shard.index, log.shard.count) == (1, 2)
    assert log.shard.requests > 0
    assert not log.shard.failures
    assert read_json(tmp_path / "one" / "run.json")["shard"]["count"] == 2
    assert not (tmp_path / "one" / "table.md").exists()
    written = (tmp_path / "one" / "run.json").stat().st_mtime_ns
    assert run(bench, model, tmp_path / "one", shard="1/2") == log
    assert (tmp_path / "one" / "run.json").stat().st_mtime_ns == written


def test_no_reader_takes_a_shard_for_a_run(bench, model, tmp_path):
    run(bench, model, tmp_path / "one", shard="0/2", tasks="pairs")
    with pytest.raises(
        StorageError, match="is shard 0/2 of a run; finish the run with `evalsuite merge` of all 2 shards"
    ):
        open_run(tmp_path / "one")


def test_a_folder_belongs_to_one_shard_or_to_the_whole_run(bench, model, tmp_path):
    run(bench, model, tmp_path / "one", shard="0/2", tasks="pairs")
    with pytest.raises(StorageError, match=r"holds shard 0/2 of a run, not shard 1/2 of a run"):
        run(bench, model, tmp_path / "one", shard="1/2", tasks="pairs")
    with pytest.raises(StorageError, match=r"holds shard 0/2 of a run, not a whole run"):
        run(bench, model, tmp_path / "one", tasks="pairs")
    run(bench, model, tmp_path / "whole", tasks="pairs")
    with pytest.raises(StorageError, match=r"holds a whole run, not shard 0/2"):
        run(bench, model, tmp_path / "whole", shard="0/2", tasks="pairs")


def test_a_shard_has_a_folder_and_a_store_of_its_own(bench, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for shard in ("0/2", "1/2"):
        run(bench, model, None, shard=shard, tasks="pairs")
    names = sorted(path.name.partition("-shard-")[2] for path in (tmp_path / "results" / "runs").iterdir())
    assert names == ["0-of-2", "1-of-2"]
    with pytest.raises(UserError, match="leave out --store"):
        run(bench, model, None, shard="0/2", tasks="pairs", store=tmp_path / "shared.sqlite")


def test_more_shards_than_work_leave_some_with_nothing_to_do(bench, model, tmp_path):
    logs = [run(bench, model, tmp_path / str(index), shard=f"{index}/4", tasks="pairs") for index in range(4)]
    assert sorted(log.shard.requests for log in logs) == [0, 0, 0, 12]
    assert {log.status for log in logs} == {"shard"}
