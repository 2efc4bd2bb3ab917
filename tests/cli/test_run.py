"""`evalsuite run` as a user meets it: results, exit codes, and one clear sentence for whatever is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from runs import ADDRESSES, PLUGIN, Bench, pair_rows, quiz_rows, read_json, sum_rows, write_data

from evalsuite.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    """The command line in this process."""

    def call(*arguments) -> Done:
        monkeypatch.setattr(sys, "argv", ["evalsuite", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    import torch
    from engine.tiny import save, tiny_llama

    torch.set_num_threads(1)
    return save(tiny_llama(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path, documents=6)


@pytest.fixture
def run(cli, bench, model):
    """`evalsuite run` on the bench; what a test gives replaces what is given here."""

    def call(*tasks: str, **options) -> Done:
        return cli(*arguments(bench, model, *tasks, **options))

    return call


def arguments(bench: Bench, model: Path | str, /, *tasks: str, **options) -> list[str]:
    named = {"model": model, "data": bench.data, "include": bench.plugin, "out": bench.out, "device": "cpu"}
    listed = ["run", "--tasks", ",".join(tasks or ADDRESSES)]
    for name, value in (named | options).items():
        flag = f"--{name.replace('_', '-')}"
        listed += [] if value is None else [flag] if value is True else [flag, str(value)]
    return listed


def test_a_run_prints_a_table_and_leaves_everything_in_its_folder(run, bench):
    done = run()
    assert done.code == 0
    for task in ADDRESSES:
        assert task in done.out
    assert "95 % interval" in done.out
    assert "\x1b[" not in done.out + done.err
    assert "…" not in done.out
    assert {path.name for path in bench.out.iterdir()} >= {
        "run.json",
        "table.md",
        "responses.sqlite",
        "samples",
    }


def test_progress_goes_to_standard_error_line_by_line(run):
    lines = run().err.splitlines()
    assert all(line.startswith("evalsuite: ") for line in lines)
    stages = [
        line.removeprefix("evalsuite: ").removesuffix(" ...") for line in lines if line.endswith(" ...")
    ]
    assert stages == ["preparing", "encoding", "scoring", "generating", "judging"]
    assert any("tokens" in line and "a second" in line for line in lines)


def test_json_is_the_run_log_and_nothing_else(run, bench):
    done = run(json=True)
    assert done.code == 0
    assert json.loads(done.out) == read_json(bench.out / "run.json")


def test_the_same_command_again_ends_at_once_with_the_same_table(run):
    first, second = run(), run()
    assert (second.code, second.out) == (0, first.out)
    assert "scoring" not in second.err


def test_options_reach_the_specification(run, bench):
    assert run("sums", limit=3, seed=7, dtype="bfloat16", shots=1).code == 0
    spec = read_json(bench.out / "run.json")["spec"]
    assert spec["tasks"] == ["tiny/sums:generate@1"]
    assert (spec["limit"], spec["seed"], spec["dtype"], spec["device"]) == (3, 7, "bfloat16", "cpu")


def test_without_out_the_folder_is_named_after_model_and_specification(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("pairs", out=None, limit=2).code == 0
    assert run("pairs", out=None, limit=3).code == 0
    assert len(list((tmp_path / "results" / "runs").glob("*tiny-*/run.json"))) == 2


# Results that are not complete.


def too_long(bench: Bench) -> None:
    rows = [*quiz_rows(5), {"question": "x" * 200, "choices": ["1", "2", "3"], "answer": 0}]
    write_data(bench.data, 6).write("tiny/quiz", "default/test.parquet", rows)


def test_prompts_beyond_the_context_window_are_named_and_leave_no_score(run, bench):
    too_long(bench)
    done = run("quiz")
    assert done.code == 1
    told = " ".join(done.out.split())
    assert "1 of 6 documents do not fit the context window (document 5: " in told
    assert "the context window holds 128); no score." in told
    assert "5/6" in done.out
    assert "Traceback" not in done.err


def test_with_json_the_reason_is_on_standard_error_too(run, bench):
    too_long(bench)
    done = run("quiz", json=True)
    assert done.code == 1
    assert json.loads(done.out)["status"] == "incomplete"
    assert "evalsuite: quiz: 1 of 6 documents do not fit the context window" in done.err


def test_allowed_failures_are_a_score_with_its_count(run, bench):
    too_long(bench)
    done = run("quiz", allow_failures=True)
    assert done.code == 0
    assert "5/6" in done.out
    assert read_json(bench.out / "run.json")["tasks"][0]["metrics"]["acc"]["n"] == 5


# What is wrong is one sentence.


def sentence(done: Done) -> str:
    """The last line of standard error, once it is sure that nothing but progress stands before it."""
    assert done.code not in (0, 1), done
    assert "Traceback" not in done.err
    assert done.out == ""
    *before, last = done.err.strip().splitlines()
    assert all(line.startswith("evalsuite: ") and line.endswith(" ...") for line in before), done.err
    return last


@pytest.mark.parametrize(
    ("tasks", "options", "said"),
    [
        (["quizz"], {}, "Unknown task 'quizz'. Did you mean quiz"),
        (["quiz", "nonsense"], {}, "Unknown task 'nonsense'."),
        (["tinny/quiz"], {}, "Unknown recipe 'tinny'. Did you mean tiny?"),
        (["quiz"], {"recipe": "tinny"}, "Unknown recipe 'tinny'. Did you mean tiny?"),
        (["quiz"], {"recipe": "lm_eval"}, "Recipe 'lm_eval' has no task 'quiz'; it is in tiny."),
        (["quiz:letterz"], {}, "Unknown format 'letterz'. Did you mean letters?"),
        (["quiz:generate"], {}, "tiny/quiz is not asked in the format 'generate'; it has cloze, letters."),
        (["quiz@five"], {}, "'quiz@five' is not a task address"),
        (["tiny/nothing*"], {}, "No task of recipe 'tiny' fits 'nothing*'"),
        ([" , "], {}, "No task given"),
        (["quiz:letters@99"], {}, "99 shots need 99 rows of split 'train'; it has 6."),
        (["quiz"], {"shots": 3}, "cannot be asked with 3 shots"),
        (["quiz"], {"split": "validation"}, None),
        (["quiz"], {"data": "nowhere"}, "--data nowhere"),
        (["quiz"], {"include": "nowhere.py"}, "--include nowhere.py: there is no such file or folder."),
        (["quiz"], {"engine": "nativ"}, "Unknown engine 'nativ'. Did you mean native?"),
        (["quiz"], {"dtype": "float23"}, "Unknown data type 'float23'"),
        (["quiz"], {"device": "tpu"}, "Unknown device 'tpu'"),
        (["quiz"], {"device": "cuda:99"}, "Device 'cuda:99' asked for"),
        (["quiz"], {"model": "9b"}, "Unknown model '9b'. Did you mean"),
        (["quiz"], {"model": "./nowhere"}, "Model folder or file ./nowhere does not exist."),
        (["quiz"], {"model": ""}, "No model given"),
        (["quiz"], {"store": "/nowhere/store.sqlite"}, "/nowhere/store.sqlite cannot be used"),
        (["quiz"], {"out": "/proc/run"}, "/proc/run cannot be written"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_sentence(run, tasks, options, said):
    done = run(*tasks, **options)
    if said is None:  # the places tried stand in lines of their own
        assert "Split 'validation' of tiny/quiz was found nowhere" in done.err
        assert "Traceback" not in done.err
        assert done.code == 2
    else:
        assert said in sentence(done)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"limit": 0}, "--limit"), ({"limit": -1}, "--limit"), ({"limit": "few"}, "--limit"), ({"shots": -1}, "--shots"),
     ({"seed": "x"}, "--seed"), ({"colour": "red"}, "No such option: --colour")],
)  # fmt: skip
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
        (without_weights, "has no weights (*.safetensors) in"),
        (without_tokenizer, "has no tokenizer files in"),
        (with_broken_config, "is not readable JSON"),
        (with_weights_cut_short, "model.safetensors"),
        (with_broken_tokenizer, "The tokenizer of model"),
        (of_unknown_architecture, "(abacus) cannot be loaded"),
        (with_a_weight_missing, "1 weights are missing or of another shape"),
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
    assert "is not a .gguf file" in sentence(run("quiz", model=tmp_path / "notes.txt"))
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
        ("pairs", [{"sentence": "no gap", "one": "a", "two": "b", "answer": 0}], "cannot read row 0 of tiny/pairs"),
        ("pairs", [*pair_rows(2), {**pair_rows(1)[0], "answer": -1}], "answer -1 of 2 choices in row 2 of tiny/pairs"),
        ("quiz", [{**row, "answer": 3} for row in quiz_rows(2)], "answer 3 of 3 choices in row 0 of tiny/quiz"),
        ("quiz", [{**row, "answer": None} for row in quiz_rows(2)], "cannot read row 0 of tiny/quiz"),
        ("quiz", [{**row, "choices": None} for row in quiz_rows(2)], "cannot read row 0 of tiny/quiz"),
        ("sums", renamed(sum_rows(2), "answer", "answers"), "answer"),
    ],
)  # fmt: skip
def test_rows_that_are_not_the_tasks_are_one_sentence(run, bench, task, rows, said):
    write_data(bench.data).write(f"tiny/{task}", "default/test.parquet", rows)
    assert said in sentence(run(task))


def test_a_shot_without_an_answer_is_one_sentence(run, bench):
    rows = [{**row, "answer": -1} for row in quiz_rows(6)]
    write_data(bench.data).write("tiny/quiz", "default/train.parquet", rows)
    assert "in a row that is shown as a shot of tiny/quiz" in sentence(run("quiz:letters"))


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
    assert run("pairs", limit=2).code == 0
    before = (bench.out / "run.json").read_text("utf-8")
    text = sentence(run("pairs", limit=3))
    assert f"{bench.out} holds a run of another specification (limit 2 there, 3 here)" in text
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


# In processes of their own.


def process(*arguments: str, **environment: str) -> subprocess.Popen:
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment}
    command = [sys.executable, "-m", "evalsuite", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_hub_that_does_not_answer_is_noticed_at_once(tmp_path):
    began = time.monotonic()
    env = {"HF_ENDPOINT": "http://localhost:9", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    running = process("run", "--tasks", "mmlu,gsm8k", "--model", "8b", "--out", str(tmp_path / "out"), **env)
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert (running.returncode, out) == (2, "")
    [line] = err.strip().splitlines()
    assert "'8b' (nvidia/Nemotron-H-8B-Base-8K) is not (or not fully) on this machine" in line
    assert "http://localhost:9 does not answer" in line
    assert not (tmp_path / "out").exists()


def test_control_c_ends_with_a_sentence_and_the_same_command_continues(cli, bench, model):
    """The interrupt comes while the engine works."""
    slow = PLUGIN.replace("max_tokens=6", "max_tokens=80").replace('stop=("\\n",), ', "")
    bench.plugin.write_text(slow, "utf-8")
    write_data(bench.data, 400)
    running = process(*arguments(bench, model))
    for line in running.stderr:
        if line == "evalsuite: scoring ...\n":
            break
    while not (bench.out / "responses.sqlite-wal").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == (
        "evalsuite: stopped; the answers so far are kept, the same command continues."
    )
    assert "Traceback" not in err
    assert read_json(bench.out / "run.json")["status"] == "running"
    assert cli(*arguments(bench, model)).code == 0
    assert read_json(bench.out / "run.json")["status"] == "complete"


def test_control_c_during_the_start_is_no_traceback(bench, model):
    running = process(*arguments(bench, model))
    assert running.stderr.readline() == "evalsuite: preparing ...\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err.splitlines()[-1].startswith("evalsuite: stopped;")
    assert "Traceback" not in err
