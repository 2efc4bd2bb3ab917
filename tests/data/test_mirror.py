from pathlib import Path

import pytest

from evalsuite.data import DatasetRef, load_split
from evalsuite.data.found import NotHere
from evalsuite.data.mirror import from_mirror
from evalsuite.errors import DataError
from tests.data.tiny_mirror import QUESTIONS
from tests.golden.golden import SHARED, needs_shared

FIRST, SECOND = QUESTIONS[:1], QUESTIONS[1:]
REF = DatasetRef("acme/quiz", ("question", "choices", "answer"))


@pytest.mark.parametrize(
    "path",
    [
        ["a/one.parquet", "b/two.parquet"],
        ["a/*.parquet", "b/*.parquet"],
        "?/*.parquet",
        "**/*.parquet",
    ],
    ids=str,
)
def test_a_split_of_several_files_is_joined_in_order(mirror, path):
    mirror.declare(REF.id, {"config_name": "default", "data_files": [{"split": "test", "path": path}]})
    mirror.write(REF.id, "a/one.parquet", FIRST)
    mirror.write(REF.id, "b/two.parquet", SECOND)
    assert from_mirror(REF, "test", mirror.folder).rows == QUESTIONS


@pytest.mark.parametrize("data_files", ["a.parquet", ["a.parquet"]])
def test_files_without_a_split_are_train(mirror, data_files):
    mirror.declare(REF.id, {"config_name": "default", "data_files": data_files})
    mirror.write(REF.id, "a.parquet", QUESTIONS)
    assert from_mirror(REF, "train", mirror.folder).rows == QUESTIONS


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ("default", "data/test-00000-of-00001.parquet"),
        ("default", "test.parquet"),
        ("main", "main/test-00000-of-00001.parquet"),
    ],
)
def test_without_a_header_files_are_found_by_the_usual_names(mirror, config, path):
    mirror.write(REF.id, path, QUESTIONS)
    assert from_mirror(DatasetRef(REF.id, REF.columns, config), "test", mirror.folder).rows == QUESTIONS


def test_a_named_config_does_not_take_files_that_are_not_its_own(mirror):
    mirror.write(REF.id, "data/test-00000-of-00001.parquet", QUESTIONS)
    with pytest.raises(NotHere, match="no file of main/test"):
        from_mirror(DatasetRef(REF.id, REF.columns, "main"), "test", mirror.folder)


def test_a_config_may_name_a_folder_in_place_of_files(mirror):
    mirror.declare(REF.id, {"config_name": "main", "data_dir": "first"})
    mirror.write(REF.id, "first/test.parquet", QUESTIONS)
    assert from_mirror(DatasetRef(REF.id, REF.columns, "main"), "test", mirror.folder).rows == QUESTIONS


def test_what_is_not_there_is_a_reason_and_no_error(mirror):
    mirror.add(REF.id, "test", QUESTIONS)
    with pytest.raises(NotHere, match="no folder acme/other"):
        from_mirror(DatasetRef("acme/other", ("q",)), "test", mirror.folder)
    with pytest.raises(NotHere, match="no config 'main'; it has default"):
        from_mirror(DatasetRef(REF.id, ("q",), "main"), "test", mirror.folder)
    with pytest.raises(NotHere, match="no split 'train' of default; it has test"):
        from_mirror(REF, "train", mirror.folder)


def test_half_of_a_split_is_not_the_split(mirror):
    mirror.write(REF.id, "data/test-00000-of-00002.parquet", QUESTIONS)
    with pytest.raises(NotHere, match="only 1 of 2 files"):
        from_mirror(REF, "test", mirror.folder)
    declared = [{"split": "test", "path": ["data/test-00000-of-00002.parquet", "gone.parquet"]}]
    mirror.declare(REF.id, {"config_name": "default", "data_files": declared})
    with pytest.raises(NotHere, match=r"names gone\.parquet, which does not exist"):
        from_mirror(REF, "test", mirror.folder)


@pytest.mark.parametrize(
    "header", ["configs: [", "configs: [{data_files: x}]", "configs: [{config_name: a, data_files: [{}]}]"]
)
def test_a_header_that_cannot_be_understood_is_an_error_that_names_the_readme(mirror, header):
    readme = mirror.folder / REF.id / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text(f"---\n{header}\n---\n", "utf-8")
    with pytest.raises(DataError, match=r"header of .*README\.md is not valid"):
        from_mirror(REF, "test", mirror.folder)


def test_a_readme_without_the_right_to_read_it_is_named(mirror, monkeypatch):
    mirror.declare(REF.id, {"config_name": "default", "data_files": "test.parquet"})

    def refused(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(DataError, match=r"README\.md cannot be read: Permission denied\."):
        from_mirror(REF, "test", mirror.folder)


@needs_shared
def test_the_shared_mirror_can_be_read():
    ref = DatasetRef("allenai/ai2_arc", ("id", "choices"), "ARC-Challenge")
    first = load_split(ref, "test", data_dir=SHARED).rows[0]
    assert list(first) == ["id", "choices"]
    assert list(first["choices"]) == ["text", "label"]
