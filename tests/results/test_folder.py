"""The run folder: one specification, one process, every file whole."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from evalsuite.errors import StorageError
from evalsuite.results.folder import RunFolder, default_folder
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import ModelRecord, RunLog
from evalsuite.results.store import ResponseStore
from evalsuite.types import Score
from tests.runs.bench import Bench, ScriptedEngine, oracle, read_json

SPEC = RunSpec(tasks=("tiny/quiz:cloze@0",), model="m")


def refusal(folder, spec=SPEC) -> str:
    with pytest.raises(StorageError) as error, RunFolder(folder).opened(spec):
        pass
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_new_folder_is_made_and_has_no_earlier_run(tmp_path):
    with RunFolder(tmp_path / "a" / "b").opened(SPEC) as earlier:
        assert earlier is None
    assert (tmp_path / "a" / "b").is_dir()


def test_the_same_command_has_the_same_folder_and_another_has_another(tmp_path):
    assert default_folder(SPEC) == default_folder(RunSpec(tasks=SPEC.tasks, model="m"))
    others = [
        RunSpec(tasks=SPEC.tasks, model="m", limit=3),
        RunSpec(tasks=("a", "b"), model="m"),
        RunSpec(tasks=SPEC.tasks, model="n"),
    ]
    assert len({default_folder(spec) for spec in [SPEC, *others]}) == 4


@pytest.mark.parametrize("model", ["org/name@main", "../../etc", "C:\\models\\x", "." * 9, "ü" * 500])
def test_no_model_name_leads_out_of_the_results(model):
    folder = default_folder(RunSpec(tasks=SPEC.tasks, model=model))
    assert folder.parent.parts == ("results", "runs")
    assert len(folder.name.encode()) < 200
    assert not folder.name.startswith("..")


def test_a_folder_of_another_specification_is_refused_with_every_difference(tmp_path):
    bench = Bench.make(tmp_path)
    bench.execute(ScriptedEngine(), "pairs", "quiz")
    here = RunSpec(tasks=("tiny/pairs:cloze@0",), model="scripted", limit=7)
    text = refusal(bench.out, here)
    assert "limit: the folder has None, the command 7" in text
    assert (
        "tasks: the folder has tiny/pairs:cloze@0,tiny/quiz:cloze@0, the command tiny/pairs:cloze@0" in text
    )
    assert "model" not in text.replace("models", "")
    assert "choose another --out folder" in text


def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    code = (
        "import sys, fcntl; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "run" / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert "is in use by another run" in refusal(tmp_path / "run")
        other.stdin.close()
        other.wait()
    with RunFolder(tmp_path / "run").opened(SPEC) as earlier:
        assert earlier is None


def test_two_runs_of_one_process_exclude_each_other_too(tmp_path):
    with RunFolder(tmp_path).opened(SPEC):
        assert "is in use" in refusal(tmp_path)
    with RunFolder(tmp_path).opened(SPEC):
        pass


def test_a_crash_releases_the_folder(tmp_path):
    with pytest.raises(RuntimeError), RunFolder(tmp_path).opened(SPEC):
        raise RuntimeError
    with RunFolder(tmp_path).opened(SPEC):
        pass


def test_a_damaged_run_log_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    assert "is not a run log" in refusal(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written: File exists" in refusal(tmp_path / "file")
    assert "cannot be written: Not a directory" in refusal(tmp_path / "file" / "run")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system that nobody can write")
def test_a_folder_that_cannot_be_written_is_refused():
    """Even the machine's owner, whom permissions do not stop, makes no folder there."""
    assert "/proc/run cannot be written" in refusal(Path("/proc/run"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the machine's owner may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    assert "cannot be written: Permission denied" in refusal(tmp_path / "run")


@pytest.mark.parametrize("file", ["samples/quiz.parquet", "table.md", "run.json"])
def test_a_disk_that_fills_while_results_are_written_keeps_the_answers(tmp_path, file):
    """`/dev/full` refuses every byte as a full disk does."""
    bench = Bench.make(tmp_path)
    tasks = [bench.prepared("quiz")]
    blocked = (bench.out / file).with_suffix(".unfinished")
    blocked.parent.mkdir(parents=True)
    blocked.symlink_to("/dev/full")
    with pytest.raises(StorageError) as error:
        bench.execute(oracle(tasks), "quiz")
    assert "No space is left for" in str(error.value)
    assert "It continues from the stored answers" in str(error.value)
    blocked.unlink(missing_ok=True)
    again = oracle(tasks)
    assert bench.execute(again, "quiz").task("quiz").metrics["acc"].value == 1.0
    assert bool(again.asked) == (file == "run.json"), "the log that says `running` comes before the answers"


def test_a_log_that_could_not_be_read_again_is_never_written(finished):
    bench, log = finished
    before = (bench.out / "run.json").read_bytes()
    endless = log.model_copy(update={"seconds": float("inf")})
    with pytest.raises(ValidationError):
        RunFolder(bench.out).write_log(endless)
    assert (bench.out / "run.json").read_bytes() == before


def test_a_complete_log_means_that_all_the_rest_is_there(finished):
    bench, _ = finished
    assert read_json(bench.out / "run.json")["status"] == "complete"
    assert {path.name for path in (bench.out / "samples").iterdir()} == {
        "quiz.parquet",
        "pairs.parquet",
        "sums.parquet",
    }
    assert (bench.out / "table.md").is_file()
    assert not list(bench.out.rglob("*.unfinished"))


def test_a_command_refused_before_an_answer_leaves_the_folder_to_the_corrected_one(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RuntimeError), folder.opened(SPEC):
        begin(folder, answers=0, fails=True)
    assert not folder.path.exists()


def test_a_folder_that_a_killed_command_left_without_answers_is_free_for_another(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.opened(SPEC):
        begin(folder, answers=0)
    with folder.opened(SPEC.model_copy(update={"dtype": "float32"})) as earlier:
        assert earlier is None


def test_a_command_that_fails_after_an_answer_loses_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(RuntimeError), folder.opened(SPEC):
        begin(folder, answers=1, fails=True)
    assert "dtype: the folder has auto, the command float32" in refusal(
        tmp_path, SPEC.model_copy(update={"dtype": "float32"})
    )


@pytest.mark.parametrize("kind", ["limit", "sample"])
def test_a_larger_subset_or_the_whole_continues_and_a_smaller_one_does_not(tmp_path, kind):
    some = SPEC.model_copy(update={kind: 5})
    folder = RunFolder(tmp_path)
    with folder.opened(some):
        folder.write_log(log_of(some, "complete"))
    for more in (some, SPEC.model_copy(update={kind: 6}), SPEC):
        with folder.opened(more) as earlier:
            assert earlier is not None
    assert f"{kind}: the folder has 5, the command 4" in refusal(tmp_path, SPEC.model_copy(update={kind: 4}))
    assert "seed: the folder has 0, the command 1" in refusal(
        tmp_path, SPEC.model_copy(update={kind: 6, "seed": 1})
    )


def test_fields_of_a_later_version_leave_names_of_folders_as_they_were():
    assert default_folder(SPEC).name == "m-74c1a4d1", "the name that version 0.1.0 gives"
    assert default_folder(SPEC.model_copy(update={"sample": 4})) != default_folder(SPEC)


def begin(folder: RunFolder, answers: int, fails: bool = False) -> None:
    """What a run writes first; then it may fail."""
    folder.write_log(log_of(SPEC))
    store = ResponseStore(folder.store)
    store.put((str(number).encode(), Score((-1.0,), True)) for number in range(answers))
    store.close()
    if fails:
        raise RuntimeError


def log_of(spec: RunSpec, status: str = "running") -> RunLog:
    model = ModelRecord(id="m", revision=None, weights_sha256="", tokenizer_sha256="", numerics="")
    return RunLog(
        evalsuite_version="0",
        status=status,
        spec=spec,
        inputs_sha256="",
        model=model,
        environment={},
        started="",
    )


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_note(tmp_path, monkeypatch, number):
    def flock(file: object, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = RunFolder(tmp_path / "run")
    with folder.opened(SPEC):
        [note] = folder.notes
        assert "does not support locks" in note


def test_locks_that_work_are_no_note(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.opened(SPEC):
        assert folder.notes == ()
