"""Whatever is wrong with the input of `evalsuite run` is one clear sentence."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.tiny_run import sentence
from tests.runs.bench import PLUGIN, pair_rows, quiz_rows, read_json, sum_rows, write_data


@pytest.mark.parametrize(
    ("tasks", "options", "said"),
    [
        (["quizz"], {}, "Unknown task 'quizz'. Did you mean quiz"),
        (["quiz", "nonsense"], {}, "Unknown task 'nonsense'."),
        (["tinny/quiz"], {}, "Unknown recipe 'tinny'. Did you mean tiny?"),
        (["quiz"], {"recipe": "tinny"}, "Unknown recipe 'tinny'. Did you mean tiny?"),
        (["quiz"], {"recipe": "lm_eval"}, "Recipe 'lm_eval' has no task 'quiz'; it is in tiny."),
        (["quiz:letterz"], {}, "Unknown format 'letterz'. Did you mean letters?"),
        (["quiz:generate"], {}, "tiny/quiz has no format 'generate'; it has cloze, letters."),
        (["quiz@five"], {}, "'quiz@five' is not a task address"),
        (["tiny/nothing*"], {}, "No task of recipe 'tiny' matches 'nothing*'"),
        ([" , "], {}, "No task given"),
        (["quiz:letters@99"], {}, "99 shots need 99 rows of split 'train'; it has 6."),
        (["quiz"], {"shots": 3}, "cannot have 3 shots"),
        (["quiz"], {"split": "validation"}, None),
        (["quiz"], {"data": "nowhere"}, "--data nowhere"),
        (["quiz"], {"include": "nowhere.py"}, "--include nowhere.py: no such file or folder."),
        (["quiz"], {"engine": "nativ"}, "Unknown engine 'nativ'. Did you mean native?"),
        (["quiz"], {"dtype": "float23"}, "Unknown data type 'float23'"),
        (["quiz"], {"device": "tpu"}, "Unknown device 'tpu'"),
        (["quiz"], {"device": "cuda:99"}, "Device 'cuda:99' was requested"),
        (["quiz"], {"model": "9b"}, "Unknown model '9b'. Did you mean"),
        (["quiz"], {"model": "./nowhere"}, "Model folder or file ./nowhere does not exist."),
        (["quiz"], {"model": " "}, "No model given"),
        (["quiz"], {"store": "/nowhere/store.sqlite"}, "/nowhere/store.sqlite cannot be used"),
        (["quiz"], {"out": "/proc/run"}, "/proc/run cannot be written"),
    ],
)
def test_a_wrong_argument_is_one_sentence(run, tasks, options, said):
    done = run(*tasks, **options)
    if said is None:  # the places tried stand in lines of their own
        assert "Split 'validation' of tiny/quiz was not found" in done.err
        assert "Traceback" not in done.err
        assert done.code == 2
    else:
        assert said in sentence(done)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 0}, "--limit"),
        ({"limit": -1}, "--limit"),
        ({"limit": "few"}, "--limit"),
        ({"shots": -1}, "--shots"),
        ({"seed": "x"}, "--seed"),
        ({"colour": "red"}, "--colour"),
    ],
)
def test_an_option_out_of_range_names_the_option(run, options, said):
    done = run("quiz", **options)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert said in done.err


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def with_broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{ not json")


def with_weights_cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def with_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def of_unknown_architecture(folder: Path) -> None:
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "abacus"}))


def with_a_weight_missing(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_config, "has no config.json in"),
        (
            without_weights,
            "has no weights (model.safetensors, model.safetensors.index.json or pytorch_model.bin) in",
        ),
        (without_tokenizer, "has no tokenizer files in"),
        (with_broken_config, "is not readable JSON"),
        (with_weights_cut_short, "model.safetensors"),
        (with_broken_tokenizer, "The tokenizer of model"),
        (of_unknown_architecture, "(abacus) cannot be loaded"),
        (with_a_weight_missing, "1 weights are missing in"),
    ],
)
def test_a_spoiled_model_folder_is_one_sentence(run, model, tmp_path, spoil, said):
    folder = shutil.copytree(model, tmp_path / "spoiled")
    spoil(folder)
    text = sentence(run("quiz", model=folder))
    assert said in text
    assert str(folder) in text


def test_a_file_that_is_no_model_is_one_sentence(run, tmp_path):
    (tmp_path / "notes.txt").write_text("a model")
    assert "is not a .gguf or .nemo file" in sentence(run("quiz", model=tmp_path / "notes.txt"))
    (tmp_path / "model.gguf").write_text("not a model")
    assert "model.gguf" in sentence(run("quiz", model=tmp_path / "model.gguf"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the machine's owner may read everything")
def test_an_unreadable_model_folder_is_one_sentence(run, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "locked")
    for path in folder.iterdir():
        path.chmod(0)
    assert str(folder) in sentence(run("quiz", model=folder))


def renamed(rows: list[dict], old: str, new: str) -> list[dict]:
    return [{new if name == old else name: value for name, value in row.items()} for row in rows]


@pytest.mark.parametrize(
    ("task", "rows", "said"),
    [
        ("quiz", renamed(quiz_rows(3), "choices", "options"), "choices"),
        ("quiz", renamed(quiz_rows(3), "question", "questions"), "questions"),
        (
            "pairs",
            [{"sentence": "no gap", "one": "a", "two": "b", "answer": 0}],
            "cannot read row 0 of tiny/pairs",
        ),
        (
            "pairs",
            [*pair_rows(2), {**pair_rows(1)[0], "answer": -1}],
            "answer -1 of 2 choices in row 2 of tiny/pairs",
        ),
        (
            "quiz",
            [{**row, "answer": 3} for row in quiz_rows(2)],
            "answer 3 of 3 choices in row 0 of tiny/quiz",
        ),
        ("quiz", [{**row, "answer": None} for row in quiz_rows(2)], "cannot read row 0 of tiny/quiz"),
        ("quiz", [{**row, "choices": None} for row in quiz_rows(2)], "cannot read row 0 of tiny/quiz"),
        ("sums", renamed(sum_rows(2), "answer", "answers"), "answer"),
    ],
)
def test_rows_that_are_not_the_tasks_are_one_sentence(run, bench, task, rows, said):
    write_data(bench.data).write(f"tiny/{task}", "default/test.parquet", rows)
    assert said in sentence(run(task))


def test_a_shot_without_an_answer_is_one_sentence(run, bench):
    rows = [{**row, "answer": -1} for row in quiz_rows(6)]
    write_data(bench.data).write("tiny/quiz", "default/train.parquet", rows)
    assert "in a row used as a shot of tiny/quiz" in sentence(run("quiz:letters"))


def test_an_empty_split_is_one_sentence(run, bench):
    import pyarrow.parquet as pq

    path = bench.data / "tiny" / "quiz" / "default" / "test.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "Split 'test' of tiny/quiz is empty" in sentence(run("quiz"))


def test_a_damaged_data_file_is_one_sentence(run, bench):
    path = bench.data / "tiny" / "quiz" / "default" / "test.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    assert f"The data file {path} cannot be read" in sentence(run("quiz"))


def test_a_plugin_with_a_mistake_is_one_sentence(run, bench):
    bench.plugin.write_text(PLUGIN + "\nraise ValueError('oops')\n", "utf-8")
    assert "cannot be imported: ValueError: oops" in sentence(run("quiz"))
    bench.plugin.write_text("TASK = []\n", "utf-8")
    assert "must define TASKS" in sentence(run("quiz"))


def test_a_template_with_a_mistake_is_one_sentence(run, bench):
    bench.plugin.write_text(PLUGIN.replace("{{ beginning }}", "{{ begining }}"), "utf-8")
    assert "begining" in sentence(run("pairs"))


def test_a_folder_of_another_specification_is_one_sentence(run, bench):
    assert run("pairs", limit=3).code == 0
    before = (bench.out / "run.json").read_text("utf-8")
    text = sentence(run("pairs", limit=2))
    assert (
        f"{bench.out} holds a run of another specification (limit: the folder has 3, the command 2)" in text
    )
    assert (bench.out / "run.json").read_text("utf-8") == before


@pytest.mark.parametrize("content", [b"garbage" * 3000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_corrupt_store_is_one_sentence_and_left_as_it_is(run, bench, content):
    bench.out.mkdir()
    store = bench.out / "responses.sqlite"
    store.write_bytes(content)
    assert f"{store} is damaged" in sentence(run("pairs"))
    assert store.read_bytes() == content


def test_a_damaged_run_log_is_one_sentence(run, bench):
    bench.out.mkdir()
    (bench.out / "run.json").write_text("{}")
    assert f"{bench.out / 'run.json'} is not a run log" in sentence(run("pairs"))


def test_a_file_in_the_place_of_the_output_folder_is_one_sentence(run, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written: File exists" in sentence(run("pairs", out=tmp_path / "file"))


def test_a_disk_that_is_full_is_one_sentence_and_the_same_command_continues(run, bench):
    blocked = bench.out / "table.unfinished"
    bench.out.mkdir()
    blocked.symlink_to("/dev/full")
    done = run("pairs")
    assert "No space is left for" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert done.code == 2
    blocked.unlink()
    again = run("pairs")
    assert again.code == 0
    assert "scoring" not in again.err, "the answers were kept"
