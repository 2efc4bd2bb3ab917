"""Answers on disk."""

import itertools
import math
import os
import sqlite3
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import StorageError
from evalsuite.results.store import SCHEMA, ResponseStore, request_key
from evalsuite.types import Failure, Generated, GenerateRequest, ModelIdentity, Score, ScoreRequest

MODEL = ModelIdentity("weights", "tokenizer", "transformers float32 cpu")
SCORE = ScoreRequest((1, 2, 3), (4, 5))
TEXT = GenerateRequest((1, 2, 3), ("\n", "Q:"), 16, 0.7, 0.9, seed=3, sample=1)

log_probs = st.lists(st.floats(max_value=0.0, allow_nan=False), min_size=1, max_size=5).map(tuple)
scores = st.builds(Score, log_probs, st.booleans(), st.none() | st.floats(max_value=0))
texts = st.builds(
    Generated, st.text(), st.integers(0, 2**31), st.sampled_from(["stop", "eos", "length", "window"])
)
ids = st.lists(st.integers(0, 2**31), max_size=6).map(tuple)


@pytest.fixture
def store(tmp_path):
    opened = ResponseStore(tmp_path / "responses.sqlite")
    yield opened
    opened.close()


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@settings(deadline=None)
@given(answers=st.lists(scores | texts, max_size=20))
def test_what_is_stored_comes_back_equal_to_the_last_bit(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("store") / "responses.sqlite"
    store = ResponseStore(path)
    store.put((key(number), answer) for number, answer in enumerate(answers))
    store.close()
    again = ResponseStore(path)
    found = again.get([key(number) for number in range(len(answers))])
    again.close()
    assert found == dict(zip(map(key, range(len(answers))), answers, strict=True))
    for stored, answer in zip(found.values(), answers, strict=True):
        assert type(stored) is type(answer)


def test_minus_infinity_and_the_smallest_float_survive(store):
    answer = Score((-math.inf, -5e-324, -0.1 - 0.2), False)
    store.put([(key(1), answer)])
    assert store.get([key(1)]) == {key(1): answer}


def test_a_failure_is_never_stored(store):
    store.put([(key(1), Failure("out of memory")), (key(2), Score((-1.0,), True))])
    assert len(store) == 1
    assert store.get([key(1), key(2)]) == {key(2): Score((-1.0,), True)}


def test_the_first_answer_stays(store):
    store.put([(key(1), Score((-1.0,), True))])
    store.put([(key(1), Score((-2.0,), False)), (key(2), Score((-3.0,), False))])
    assert store.get([key(1)]) == {key(1): Score((-1.0,), True)}
    assert len(store) == 2


def test_more_keys_than_a_query_holds_are_all_found(store):
    answers = {key(number): Score((-float(number),), False) for number in range(1201)}
    store.put(answers.items())
    assert store.get(list(answers)) == answers
    assert store.get([key(5000)]) == {}


def test_two_processes_may_share_a_store(tmp_path):
    one, other = ResponseStore(tmp_path / "shared"), ResponseStore(tmp_path / "shared")
    one.put([(key(1), Score((-1.0,), True))])
    other.put([(key(1), Score((-2.0,), True)), (key(2), Score((-2.0,), True))])
    assert one.get([key(1), key(2)]) == {key(1): Score((-1.0,), True), key(2): Score((-2.0,), True)}
    one.close(), other.close()


def variants(request):
    """Requests that differ from `request` in one field each."""
    different = {
        "context": (1, 2, 4),
        "continuation": (4, 6),
        "stop": ("\n",),
        "max_tokens": 17,
        "temperature": 0.8,
        "top_p": 0.8,
        "seed": 4,
        "sample": 2,
        "backend": "lm_eval_hf",
    }
    names = request.__dataclass_fields__
    assert set(names) <= set(different), "a new field of a request must change the key"
    fields = {name: getattr(request, name) for name in names}
    return [type(request)(**fields | {name: different[name]}) for name in names]


@pytest.mark.parametrize("request_", [SCORE, TEXT], ids=["score", "generate"])
def test_every_field_of_a_request_changes_the_key(request_):
    keys = {request_key(one, MODEL) for one in [request_, *variants(request_)]}
    assert len(keys) == 1 + len(request_.__dataclass_fields__)


@pytest.mark.parametrize("request_", [SCORE, TEXT], ids=["score", "generate"])
@pytest.mark.parametrize("field", ModelIdentity.__dataclass_fields__)
def test_every_field_of_the_model_changes_the_key(request_, field):
    fields = {name: getattr(MODEL, name) for name in ModelIdentity.__dataclass_fields__}
    other = ModelIdentity(**fields | {field: fields[field] + "2"})
    assert request_key(request_, other) != request_key(request_, MODEL)


@settings(deadline=None)
@given(whole=st.lists(st.integers(0, 300), min_size=2, max_size=12).map(tuple))
def test_no_two_splits_of_a_text_share_a_key(whole):
    splits = [ScoreRequest(whole[:place], whole[place:]) for place in range(len(whole) + 1)]
    assert len({request_key(one, MODEL) for one in splits}) == len(splits)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(ScoreRequest, ids, ids)
        | st.builds(
            GenerateRequest,
            ids,
            st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
            st.integers(1, 99),
        ),
        unique=True,
    )
)
def test_different_requests_have_different_keys_and_equal_ones_the_same(requests):
    assert len({request_key(one, MODEL) for one in requests}) == len(requests)
    for one in requests:
        fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
        assert request_key(type(one)(**fields), MODEL) == request_key(one, MODEL)


def test_the_key_of_an_old_store_is_known_forever():
    """If this changes, stored answers are lost: say so, and raise SCHEMA unless those of the other kind
    stay."""
    assert SCHEMA == 1
    assert request_key(SCORE, MODEL).hex()[:16] == "9eae57c55996b851"
    assert request_key(TEXT, MODEL).hex()[:16] == "4d023c28f16f6147"


def written(path, count: int = 2000):
    store = ResponseStore(path)
    store.put((key(number), Generated("some words " * 9, 27, "stop")) for number in range(count))
    store.close()
    return path


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_a_file_of_garbage_is_named_as_damaged(tmp_path):
    path = tmp_path / "responses.sqlite"
    path.write_bytes(os.urandom(9000))
    with pytest.raises(StorageError) as error:
        ResponseStore(path)
    assert f"{path} is damaged" in one_sentence(error)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97])
def test_a_file_cut_short_is_named_as_damaged(tmp_path, kept):
    path = written(tmp_path / "responses.sqlite")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(StorageError) as error:
        ResponseStore(path)
    assert "is damaged" in one_sentence(error)


@pytest.mark.parametrize("row", ["{", "{}", '{"log_probs": [1]}', '{"text": "a", "colour": 1}', "3", "null"])
def test_a_row_that_is_no_answer_is_named_as_damage(tmp_path, row):
    path = written(tmp_path / "responses.sqlite", 0)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO responses VALUES (?, ?)", (key(1), row))
    connection.close()
    store = ResponseStore(path)
    with pytest.raises(StorageError) as error:
        store.get([key(1)])
    store.close()
    assert "is damaged" in one_sentence(error)


def test_a_store_of_another_version_is_refused(tmp_path):
    path = written(tmp_path / "responses.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA + 1}")
    connection.close()
    with pytest.raises(StorageError) as error:
        ResponseStore(path)
    assert "another version of evalsuite" in one_sentence(error)


@pytest.mark.parametrize("place", ["a folder", "below a file"])
def test_a_place_that_cannot_hold_a_store_is_one_sentence(tmp_path, place):
    (tmp_path / "file").touch()
    path = tmp_path if place == "a folder" else tmp_path / "file" / "responses.sqlite"
    with pytest.raises(StorageError) as error:
        ResponseStore(path)
    assert "cannot be used" in one_sentence(error)


def fill(store: ResponseStore) -> int:
    """Put answers, a block at a time, until it is refused; how many are there."""
    for first in itertools.count(step=100):
        store.put((key(first + one), Generated("word " * 40, 40, "stop")) for one in range(100))
    raise AssertionError


def test_a_full_database_names_the_remedy_and_keeps_what_is_there(store, tmp_path):
    store._connection.execute("PRAGMA max_page_count=60")
    with pytest.raises(StorageError) as error:
        fill(store)
    assert "free some space and run the same command again" in one_sentence(error)
    kept = len(store)
    assert kept > 0
    assert kept % 100 == 0, "a block is stored as a whole or not at all"
    store.close()
    again = ResponseStore(tmp_path / "responses.sqlite")
    assert again.get([key(number) for number in range(kept)]).keys() == set(map(key, range(kept)))
    again.put([(key(9999), Score((-1.0,), True))])
    assert len(again) == kept + 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB; only the machine's owner can mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_names_the_remedy_and_keeps_what_is_there(small_disk):
    store = ResponseStore(small_disk / "responses.sqlite")
    with pytest.raises(StorageError) as error:
        fill(store)
    store.close()
    assert "No space is left" in one_sentence(error)
    again = ResponseStore(small_disk / "responses.sqlite")
    assert len(again) > 0
    assert len(again) % 100 == 0
    again.close()


OLD, NEW = {"torch": "2.6.0", "transformers": "5.17.0"}, {"torch": "2.13.0", "transformers": "5.23.0"}


def stored(path, answers, versions=None):
    store = ResponseStore(path, versions)
    store.put((key(number), Score((-1.0,), True)) for number in answers)
    store.close()


def origins(path, answers):
    store = ResponseStore(path)
    found = store.origins([key(number) for number in answers])
    store.close()
    return sorted((sorted(versions.items()), count) for versions, count in found)


def expected(*pairs):
    return sorted((sorted(versions.items()), count) for versions, count in pairs)


def test_every_answer_keeps_the_versions_of_the_session_that_made_it(tmp_path):
    path = tmp_path / "responses.sqlite"
    stored(path, range(3), OLD)
    stored(path, range(1, 1000), NEW)  # the first three stay as they are
    assert origins(path, range(1000)) == expected((OLD, 3), (NEW, 997))
    assert origins(path, [0, 1, 5, 2000]) == expected((OLD, 2), (NEW, 1))


def test_a_store_from_before_versions_were_kept_is_read_written_and_said_to_have_none(tmp_path):
    path = tmp_path / "responses.sqlite"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE responses (key BLOB PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID")
    old.execute("INSERT INTO responses VALUES (?, ?)", (key(0), '{"log_probs": [-1.0], "is_greedy": true}'))
    old.execute(f"PRAGMA user_version={SCHEMA}")
    old.commit()
    stored(path, range(2), NEW)
    assert origins(path, range(2)) == expected(({}, 1), (NEW, 1))
    # An older evalsuite that shares the store goes on writing to it.
    old.execute("INSERT OR IGNORE INTO responses VALUES (?, ?)", (key(2), "{}"))
    old.commit()
    old.close()
    assert origins(path, range(3)) == expected(({}, 2), (NEW, 1))


def test_versions_move_with_the_answers_of_another_store(tmp_path):
    stored(tmp_path / "one", range(3), OLD)
    stored(tmp_path / "other", range(2, 6), NEW)
    stored(tmp_path / "third", [9])
    store = ResponseStore(tmp_path / "one")
    store.take(tmp_path / "other")
    store.take(tmp_path / "third")
    store.close()
    assert origins(tmp_path / "one", range(10)) == expected((OLD, 3), (NEW, 3), ({}, 1))


def without_shared_memory(path) -> None:
    """SQLite cannot have its shared memory beside this store, as on GPFS or Lustre."""
    path.with_name(f"{path.name}-shm").mkdir()


def test_a_file_system_without_shared_memory_costs_no_answer(tmp_path):
    path = tmp_path / "responses.sqlite"
    without_shared_memory(path)
    first, second = ResponseStore(path), ResponseStore(path)
    first.put([(b"1" * 32, Score((-1.0,), True))])
    second.put([(b"2" * 32, Score((-2.0,), False))])
    assert set(first.get([b"1" * 32, b"2" * 32])) == {b"1" * 32, b"2" * 32}
    first.close()
    second.close()
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_store_from_elsewhere_is_read_without_shared_memory(tmp_path):
    made, path = tmp_path / "made.sqlite", tmp_path / "responses.sqlite"
    store = ResponseStore(made)
    store.put([(b"1" * 32, Score((-1.0,), True))])
    for suffix in ("", "-wal"):  # as a killed process leaves it: the answer stands in the WAL alone
        path.with_name(path.name + suffix).write_bytes(made.with_name(made.name + suffix).read_bytes())
    store.close()
    without_shared_memory(path)
    copied = ResponseStore(path)
    assert len(copied) == 1
    copied.close()
