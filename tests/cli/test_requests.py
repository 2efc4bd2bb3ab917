import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import PLUGIN
from tests.golden.golden import GOLDEN, SHARED, needs_golden

COLUMNS = {"task", "doc", "kind", "context", "continuations", "generation", "gold"}


def test_one_file_per_task_has_the_columns_of_the_request(shown, tmp_path):
    output = shown("requests", "--tasks", "tiny_quiz,tiny_gaps,tiny_sums", "--out", "dump")
    assert output.splitlines() == [
        "dump/tiny_quiz.parquet: 3 documents",
        "dump/tiny_gaps.parquet: 2 documents",
        "dump/tiny_sums.parquet: 2 documents",
    ]
    tables = {path.stem: pq.read_table(path) for path in (tmp_path / "dump").iterdir()}
    assert set(tables) == {"tiny_quiz", "tiny_gaps", "tiny_sums"}
    assert all(set(table.column_names) >= COLUMNS for table in tables.values())
    assert tables["tiny_gaps"].column("continuations").to_pylist() == [
        [" was too big."] * 2,
        [" had helped."] * 2,
    ]
    assert tables["tiny_sums"].column("gold").to_pylist() == ["5", "8"]


def test_a_limit_takes_member_tasks_in_turn(shown, tmp_path):
    shown("requests", "--tasks", "tiny_quiz", "--limit", 2, "--out", ".")
    rows = pq.read_table(tmp_path / "tiny_quiz.parquet").to_pylist()
    assert [(row["subtask"], row["doc"]) for row in rows] == [
        ("tiny_quiz_sums", 0),
        ("tiny_quiz_sky", 0),
    ]


@needs_golden
def test_hashes_are_the_reference_s_in_its_columns(shown, tmp_path):
    shown(
        "requests",
        "--tasks",
        "lm_eval/winogrande@5",
        "--hashes",
        "--data",
        SHARED,
        "--limit",
        100,
        "--out",
        ".",
    )
    ours = pq.read_table(tmp_path / "lm_eval.winogrande@5.parquet").to_pylist()
    golden = pq.read_table(GOLDEN / "prompts" / "lm_eval" / "winogrande@5.parquet").to_pylist()[:50]
    assert [row for row in ours if row["doc"] % 2 == 0] == golden


def test_the_example_of_a_third_party_runs_from_any_folder(evalsuite, tmp_path):
    example = PLUGIN.parents[3] / "examples" / "third_party_task.py"
    done = evalsuite("requests", "--tasks", "kitchen", "--include", example, "--out", "here")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(pq.read_table(tmp_path / "here" / "kitchen.parquet")) == 6


def test_a_note_about_the_data_is_said_on_stderr(evalsuite, tmp_path):
    text = (PLUGIN.parents[3] / "examples" / "third_party_task.py").read_text("utf-8")
    (tmp_path / "mine.py").write_text(text, "utf-8")
    rows = (PLUGIN.parents[3] / "examples" / "kitchen.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "kitchen.jsonl").write_text("".join(rows[:5]), "utf-8")
    arguments = ["requests", "--tasks", "kitchen", "--include", "mine.py", "--out", "."]
    refused = evalsuite(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "has 5 rows, but 6 are pinned" in refused.stderr
    allowed = evalsuite(*arguments, "--allow-data-drift")
    assert allowed.returncode == 0
    assert allowed.stderr.startswith("- Split 'test' of kitchen")


def test_a_task_without_data_does_not_cost_the_others_theirs(evalsuite, tmp_path):
    done = evalsuite(
        "requests", "--tasks", "tiny_quiz,tiny_lost,tiny_sums", "--include", lost(tmp_path), "--out", "."
    )
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "tiny_quiz.parquet",
        "tiny_sums.parquet",
    ]
    assert "evalsuite: tiny_lost: Split 'test' of nobody/has-it was not found" in done.stderr
    assert done.stderr.endswith("1 of 3 tasks were skipped: tiny_lost.\n")


def lost(folder):
    """The tiny tasks, and one whose data nobody has."""
    text = PLUGIN.read_text("utf-8").replace("Path(__file__)", f"Path({str(PLUGIN)!r})")
    more = """
from dataclasses import replace
from evalsuite import DatasetRef
[quiz] = [task for task in TASKS if task.name == "tiny_quiz"]
LOST = replace(quiz, name="tiny_lost", data=DatasetRef("nobody/has-it", quiz.data.columns), prompts=tuple(
    one.model_copy(update={"task": "tiny_lost"}) for one in quiz.prompts))
TASKS = [*TASKS, LOST]
"""
    path = folder / "tiny.py"
    path.write_text(text + more, "utf-8")
    return path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tasks", ","], "No task given; give one or more, for example --tasks mmlu,gsm8k."),
        (["--tasks", "tiny_quiz,tiny_quit"], "Unknown task 'tiny_quit'. Did you mean tiny_quiz"),
        (["--tasks", "tiny_*"], "The pattern 'tiny_*' needs a recipe, for example nemotron_h/tiny_*."),
        (
            ["--tasks", "tiny/x*"],
            "No task of recipe 'tiny' matches 'x*'; it has tiny_gaps, tiny_quiz, tiny_sums.",
        ),
        (["--tasks", "tiny_quiz:@"], "'tiny_quiz:@' is not a task address;"),
    ],
)
def test_bad_input_is_one_sentence(complaint, arguments, sentence):
    said = complaint("requests", *arguments, "--out", "dump")
    assert said.startswith(sentence)
    assert "\n" not in said


def test_an_output_folder_that_cannot_be_is_one_sentence(complaint, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    assert complaint("requests", "--tasks", "tiny_gaps", "--out", "file/dump") == (
        "file/dump cannot be written: Not a directory."
    )
    assert complaint("requests", "--tasks", "tiny_gaps", "--out", "file").startswith("file cannot be written")


def test_broken_rows_are_one_sentence_that_names_the_place(complaint, tmp_path):
    rows = {
        "renamed": '{"texts": "a _ b", "names": ["x"], "right": 0}\n',
        "unreadable": '{"text": "no gap", "names": [], "right": 0}\n',
        "empty": "",
    }
    source = PLUGIN.read_text("utf-8")
    said = {}
    for name, text in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
        task = source.replace("HERE = Path(__file__).parent", f"HERE = Path({str(tmp_path)!r})")
        task = task.replace("gaps.jsonl", f"{name}.jsonl").replace("tiny", f"other_{name}")
        (tmp_path / f"{name}.py").write_text(task, "utf-8")
        said[name] = complaint(
            "requests", "--tasks", f"other_{name}_gaps", "--include", f"{name}.py", "--out", "."
        )
    assert "Column 'text' is missing" in said["renamed"]
    assert "Was it renamed to 'texts'?" in said["renamed"]
    assert "Task 'other_unreadable_gaps' cannot read row 0 of gaps: ValueError" in said["unreadable"]
    assert "is empty" in said["empty"]
