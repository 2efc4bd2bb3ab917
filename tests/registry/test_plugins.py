import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.registry.plugins import included
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import request_rows

EXAMPLE = Path(__file__).parents[2] / "examples" / "third_party_task.py"

TASK = """
from evalsuite import DatasetRef, MultipleChoice, Task
def question(row):
    return MultipleChoice(row["q"], ("a", "b"), 0)
TASKS = [Task("{name}", "t", DatasetRef("d", ("q",)), "test", question, 0.5, 1)]
"""
RECIPE = {
    "recipe.yaml": "title: mine\n",
    "quiz.yaml": """
version: 1
source: {status: ours}
format: cloze
question: "{{ stem }}"
scorer: choice
metrics: [acc]
""",
}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_the_example_in_one_file_of_under_60_lines_is_found_and_asked():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 60
    [selected] = Registry.load([EXAMPLE]).select(["kitchen"])
    rows = request_rows(prepare(selected))
    assert [row["continuations"] for row in rows] == [[" A", " B", " C"]] * 6
    assert rows[2]["context"].startswith("Keep a cut apple")
    assert rows[2]["context"].endswith("\n\nFind out whether a pan is hot.\n" + OPTIONS_OF_THE_THIRD)


OPTIONS_OF_THE_THIRD = "A. Look at its colour.\nB. Weigh it.\nC. Flick a drop of water on it.\nAnswer:"


def test_a_folder_brings_its_task_files_and_its_recipes(tmp_path):
    write(tmp_path / "quiz.py", TASK.format(name="quiz"))
    write(tmp_path / "_helper.py", "raise RuntimeError('not a task file')\n")
    for name, text in RECIPE.items():
        write(tmp_path / "mine" / name, text)
    [selected] = Registry.load([tmp_path]).select(["quiz"])
    assert selected.address == "mine/quiz:cloze@0"


def test_a_folder_of_recipes_alone_asks_built_in_tasks_another_way(tmp_path):
    write(tmp_path / "mine" / "recipe.yaml", RECIPE["recipe.yaml"])
    write(tmp_path / "mine" / "piqa.yaml", RECIPE["quiz.yaml"])
    registry = Registry.load([tmp_path])
    assert registry.select(["mine/piqa"])[0].name == "mine/piqa"
    assert registry.select(["lm_eval/piqa"])[0].name == "lm_eval/piqa"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import no_such_module_at_all\n", "cannot be imported: ModuleNotFoundError: No module named"),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
        ("TASK = 1\n", "must define TASKS, a list of evalsuite.Task"),
        ("TASKS = ['mmlu']\n", "must define TASKS, a list of evalsuite.Task"),
    ],
)
def test_a_file_that_is_no_plugin_is_an_error_that_names_it(tmp_path, text, complaint):
    file = write(tmp_path / "broken.py", text)
    with pytest.raises(UserError, match=complaint) as error:
        included([file])
    assert str(file) in str(error.value)


def test_paths_without_a_plugin_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"none\.py: no such file or folder"):
        included([tmp_path / "none.py"])
    with pytest.raises(
        UserError, match=r"the folder has neither a task file \(\*\.py\), nor a recipe, nor a task of lm-eval"
    ):
        included([tmp_path])
    with pytest.raises(UserError, match="not a Python file"):
        included([write(tmp_path / "notes.txt", "TASKS = []\n")])


def test_a_name_that_a_plugin_and_evalsuite_share_is_an_error(tmp_path):
    with pytest.raises(UserError, match="task 'mmlu' is defined twice"):
        Registry.load([write(tmp_path / "mine.py", TASK.format(name="mmlu"))])


def test_a_plugin_may_define_dataclasses_and_two_may_have_one_file_name(tmp_path):
    head = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
        "class P:\n    n: int\n"
    )
    files = [
        write(tmp_path / folder / "task.py", head + TASK.format(name=folder)) for folder in ("left", "right")
    ]
    tasks, _ = included(files)
    assert [task.name for task in tasks] == ["left", "right"]
    modules = [sys.modules[task.question.__module__] for task in tasks]
    assert [module.TASKS for module in modules] == [[task] for task in tasks]


def install(folder: Path, entry: str) -> None:
    info = folder / "acme_tasks-1.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: acme-tasks\nVersion: 1.0\n")
    write(info / "entry_points.txt", f"[evalsuite.tasks]\n{entry}\n")


def test_an_installed_package_offers_its_tasks_through_the_entry_point_group(tmp_path, monkeypatch):
    write(tmp_path / "acme_installed_quiz.py", TASK.format(name="acme_quiz"))
    install(tmp_path, "quiz = acme_installed_quiz")
    assert "acme_quiz" not in Registry.load().tasks
    monkeypatch.syspath_prepend(tmp_path)
    assert "acme_quiz" in Registry.load().tasks


def test_an_installed_package_that_is_broken_is_named(tmp_path, monkeypatch):
    install(tmp_path, "quiz = acme_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"plug-in 'quiz' \(acme_that_is_not_there\) cannot be imported"):
        Registry.load()


def test_finding_all_tasks_imports_nothing_heavy():
    code = (
        "import sys; from evalsuite.registry.registry import Registry; Registry.load().forms()\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_is_edited_within_a_second_and_keeps_its_size_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "quiz.py"
    for name in ("quiz", "maze"):
        write(file, TASK.format(name=name))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        [task], _ = included([file])
        assert task.name == name


def test_an_invalid_prompt_spec_in_a_task_file_is_named_without_pydantic_s_prefix(tmp_path):
    text = EXAMPLE.read_text("utf-8").replace('metrics=["acc"]', 'metrics=["bleu"]')
    with pytest.raises(UserError, match="cannot be imported") as error:
        included([write(tmp_path / "kitchen.py", text)])
    assert "bleu" in str(error.value)
    assert "Value error" not in str(error.value)
