"""`evalsuite data`: what it prints, and how it ends."""

import shutil

from tests.runs.bench import Bench

ADDRESSES = "tiny/quiz:letters,tiny/sums"


def fetch(cli, bench: Bench, out, tasks: str = ADDRESSES):
    return cli("data", "--tasks", tasks, "--data", bench.data, "--include", bench.plugin, "--out", out)


def test_it_lists_files_and_a_run_from_them_has_the_same_prompts(cli, bench, tmp_path):
    out = tmp_path / "fetched"
    done = fetch(cli, bench, out)
    assert (done.code, done.err) == (0, "")
    assert (
        "tiny/quiz/default/test-00000-of-00001.jsonl.gz: 6 rows, licence unknown; new, from mirror"
        in done.out
    )
    assert done.out.endswith(f"{out}: 4 files, 4 of them new\n")
    assert "there already" in fetch(cli, bench, out).out
    checked = cli("data", "--check", out)
    assert (checked.code, checked.out) == (0, f"{out}: 4 files for 2 tasks are complete\n")
    for folder, name in ((bench.data, "a"), (out, "b")):
        arguments = (
            "--tasks",
            ADDRESSES,
            "--data",
            folder,
            "--include",
            bench.plugin,
            "--out",
            tmp_path / name,
        )
        assert cli("requests", *arguments).code == 0
    written = [path.name for path in (tmp_path / "a").iterdir()]
    assert len(written) == 2
    assert all((tmp_path / "a" / one).read_bytes() == (tmp_path / "b" / one).read_bytes() for one in written)


def test_a_check_names_each_problem_and_ends_with_1(cli, bench, tmp_path):
    out = tmp_path / "fetched"
    fetch(cli, bench, out)
    lost = out / "tiny/sums/default/test-00000-of-00001.jsonl.gz"
    lost.unlink()
    checked = cli("data", "--check", out)
    assert (checked.code, checked.out) == (1, "")
    assert checked.err.startswith(f"{lost} is missing.\nevalsuite: {out} has 1 problem; ")


def test_a_task_without_data_leaves_the_others(cli, bench, tmp_path):
    shutil.rmtree(bench.data / "tiny/sums")
    done = fetch(cli, bench, tmp_path / "fetched", "tiny/sums,tiny/quiz:letters")
    assert done.code == 2
    assert "Split 'test' of tiny/sums was not found" in done.err
    assert done.err.endswith("evalsuite: 1 of 2 tasks are incomplete: sums.\n")
    assert done.out.endswith("2 files, 2 of them new\n")


def test_wrong_input_is_one_sentence(cli, bench, tmp_path):
    for arguments, told in (
        ((), "Give --tasks and --out to fetch data, or --check DIR to verify a folder."),
        (("--check", tmp_path, "--tasks", "mmlu"), "--check verifies a folder alone"),
        (("--check", tmp_path), "manifest.json cannot be read"),
        (("--tasks", "mmlo", "--out", tmp_path / "x"), "Did you mean mmlu"),
        (("--tasks", "mmlu", "--out", bench.data), "has files but no manifest.json"),
    ):
        done = cli("data", *arguments)
        assert (done.code, done.out) == (2, "")
        assert told in done.err
        assert done.err.count("\n") == 1
