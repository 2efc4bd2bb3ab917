import json
import subprocess
import sys
from collections import Counter

import pytest

HEAVY = {"torch", "transformers", "datasets", "pandas", "pyarrow", "numpy", "scipy", "lm_eval"}
UNUSED_BY_HELP = {"importlib.metadata", "pydantic", "yaml", "jinja2", "tempfile"}
UNUSED_BY_LISTING = {"jinja2", "evalsuite.lm_eval_bridge.harness"}
OPENED_AND_LISTED = """
import json, sys
seen = []
looked_at = ("open", "os.listdir", "os.scandir")  # Python 3.13 scans where 3.11 lists
sys.addaudithook(lambda event, at: seen.append((event, str(at[0]))) if event in looked_at else None)
from evalsuite.cli.listing import ListKind, listing
listing(ListKind.TASKS)
print(json.dumps(seen), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], UNUSED_BY_HELP),
        (["run", "--help"], UNUSED_BY_LISTING),
        (["list", "tasks"], UNUSED_BY_LISTING),
        (["list", "models"], UNUSED_BY_LISTING),
    ],
)
def test_it_starts_without_importing_what_it_does_not_need(fresh_evalsuite, arguments, unused):
    done = fresh_evalsuite(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "evalsuite.cli.app" in imported
    assert (HEAVY | unused) & imported == set()


def test_listing_the_tasks_reads_every_recipe_file_once_and_lists_every_recipe_folder_once():
    done = subprocess.run(
        [sys.executable, "-c", OPENED_AND_LISTED], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stderr)
    opened = Counter(path for event, path in seen if event == "open" and path.endswith(".yaml"))
    listed = Counter(path for event, path in seen if event != "open" and "/prompts/" in path)
    assert len(opened) > 100
    assert set(opened.values()) == {1}
    assert {"lm_eval", "olmes"} <= {path.rpartition("/")[2] for path in listed}
    assert set(listed.values()) == {1}


def test_tasks_are_listed_with_recipe_format_and_shots(shown):
    lines = [line.split() for line in shown("list", "tasks").splitlines()]
    assert lines[0] == ["task", "recipe", "format", "shots", "metrics", "title"]
    assert ["mmlu", "nemotron_h", "letters", "5", "acc"] in [line[:5] for line in lines]
    assert ["lm_eval/hellaswag", "lm_eval", "cloze", "0", "acc_norm,acc"] in [line[:5] for line in lines]


def test_every_listed_task_is_an_address_that_means_it(shown):
    from evalsuite.registry.registry import Registry
    from tests.cli.conftest import PLUGIN

    rows = json.loads(shown("list", "tasks", "--json"))
    assert {"mmlu", "piqa", "tiny_quiz", "tiny_quiz:cloze"} <= {row["task"] for row in rows}
    for row, selected in zip(
        rows, Registry.load([PLUGIN]).select([row["task"] for row in rows]), strict=True
    ):
        assert (row["recipe"], row["format"]) == (selected.spec.recipe, selected.spec.format)


def test_recipes_as_json_have_every_spec_with_its_source_and_status(shown):
    rows = {row["recipe"]: row for row in json.loads(shown("list", "recipes", "--json"))}
    specs = {spec["address"]: spec for spec in rows["nemotron_3"]["specs"]}
    assert specs["nemotron_3/gsm8k:generate@8"]["status"] == "inferred"
    assert specs["nemotron_3/gsm8k:single_newline@8"]["shots_from"] == "exemplars of lm-eval"
    assert specs["nemotron_3/mmlu:letters@5"]["reference"].startswith("hendrycks/test")


def test_recipes_are_listed_with_what_they_reproduce(shown):
    rows = {row["recipe"]: row for row in json.loads(shown("list", "recipes", "--json"))}
    assert rows["lm_eval"]["reference"] == "lm-eval 0.4.13"
    assert "piqa" in rows["lm_eval"]["tasks"]
    assert rows["tiny"]["tasks"] == ["tiny_gaps", "tiny_quiz", "tiny_sums"]
    assert shown("list", "recipes").splitlines()[0].split() == ["recipe", "tasks", "reference", "title"]


def test_models_are_listed_with_their_hub_names(shown):
    rows = {row["alias"]: row["model"] for row in json.loads(shown("list", "models", "--json"))}
    assert rows["8b"] == "nvidia/Nemotron-H-8B-Base-8K"
    assert "smollm2-135m" in rows
    assert "nvidia/Nemotron-H-8B-Base-8K" in shown("list", "models")


def test_a_broken_plugin_is_one_sentence(evalsuite, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n", "utf-8")
    done = evalsuite("list", "tasks", "--include", "broken.py")
    assert done.returncode == 2
    assert done.stderr == (
        "evalsuite: --include broken.py cannot be imported: ZeroDivisionError: division by zero.\n"
    )


def test_a_wrong_argument_has_one_sentence_without_pydantic_s_prefix(fresh_evalsuite):
    done = fresh_evalsuite("list", "taskz")
    assert done.returncode == 2
    assert "taskz" in done.stderr
    assert "Value error" not in done.stderr
