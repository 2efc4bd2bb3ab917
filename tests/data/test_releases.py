"""Where EvalPlus's release files are found, in which order, and what is said where they are not."""

import gzip
import json
from pathlib import Path

import pytest

from evalsuite.data import DatasetRef, Pin, load_split
from evalsuite.data.refs import Release
from evalsuite.errors import DataError

RELEASE = Release("release/Quiz.jsonl.gz", "QUIZ_OVERRIDE_PATH", "Quiz-v1.jsonl", "get_quiz")
REF = DatasetRef(
    "acme/quizplus", ("task_id", "inputs"), "release", splits={"test": Pin(1)}, releases={"test": RELEASE}
)


def write(path: Path, task_id: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"task_id": task_id, "inputs": [[1, "a", float("inf")]], "contract": "unread"}) + "\n"
    path.write_bytes(gzip.compress(line.encode()) if path.suffix == ".gz" else line.encode())
    return path


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """A place of each kind, none of them filled; the variable is not set."""
    monkeypatch.delenv(RELEASE.override, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    return {
        "mirror": mirror / REF.id / RELEASE.file,
        "variable": tmp_path / "mine.jsonl",
        "cache": tmp_path / "cache" / "evalplus" / RELEASE.cached,
    }


def task_id(data_dir: Path | None) -> str:
    [row] = load_split(REF, "test", data_dir=data_dir).rows
    assert row["inputs"] == [[1, "a", float("inf")]]
    assert set(row) == {"task_id", "inputs"}
    return row["task_id"]


def test_the_mirror_is_asked_first_then_the_variable_then_the_cache(places, monkeypatch, tmp_path):
    for name, path in places.items():
        write(path, name)
    monkeypatch.setenv(RELEASE.override, str(places["variable"]))
    assert task_id(tmp_path / "mirror") == "mirror"
    assert task_id(None) == "variable"
    monkeypatch.delenv(RELEASE.override)
    assert task_id(None) == "cache"


def test_a_release_file_that_is_nowhere_is_told_with_its_three_places_and_the_way_to_fetch_it(
    places, tmp_path
):
    with pytest.raises(DataError) as caught:
        load_split(REF, "test", data_dir=tmp_path / "mirror")
    message = str(caught.value)
    assert f"no file {places['mirror']}" in message
    assert "variable QUIZ_OVERRIDE_PATH: it is not set" in message
    assert f"no file {places['cache']}" in message
    assert "python -c 'from evalplus.data import get_quiz; get_quiz()'" in message


def test_a_release_file_with_other_rows_is_an_error(places, tmp_path):
    path = write(places["cache"], "one")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(DataError, match="has 2 rows, but 1 are pinned"):
        load_split(REF, "test")
