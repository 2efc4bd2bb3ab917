"""`evalsuite grade` as a user calls it."""

import json

import pytest

GOOD = '{"doc": 0, "text": " 3"}\n{"doc": 1, "texts": ["4", "5"]}\n'


@pytest.fixture
def responses(tmp_path):
    file = tmp_path / "responses.jsonl"
    file.write_text(GOOD, "utf-8")
    return file


@pytest.fixture
def grade(cli, bench, responses):
    def call(task: str = "sums", *more):
        return cli(
            "grade", task, "--responses", responses, "--data", bench.data, "--include", bench.plugin, *more
        )

    return call


def verdicts(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_verdicts_go_to_standard_output_and_the_scores_beside_it(grade):
    done = grade()
    assert done.code == 0
    assert [one["correct"] for one in verdicts(done.out)] == [True, [True, False]]
    assert "exact_match" in done.err
    assert "75.00" in done.err
    assert "2 lines, 3 texts" in done.err


def test_with_a_file_the_scores_are_on_standard_output(grade, tmp_path):
    out = tmp_path / "new" / "verdicts.jsonl"
    done = grade("sums", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert [one["doc"] for one in verdicts(out.read_text("utf-8"))] == [0, 1]
    assert "75.00" in done.out
    assert [file.name for file in out.parent.iterdir()] == ["verdicts.jsonl"]


def test_the_scores_can_be_had_as_json(grade, tmp_path):
    told = json.loads(grade("sums", "--json").err)
    assert (told["lines"], told["texts"], told["without_verdict"]) == (2, 3, 0)
    assert told["scores"]["exact_match"]["value"] == 0.75


def test_half_a_surrogate_pair_is_written_as_json(grade, responses):
    responses.write_text('{"text": "\\ud800", "gold": "é"}\n', "utf-8")
    plain = grade("sums")
    assert verdicts(plain.out)[0]["correct"] is False


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"doc": 0}', "responses.jsonl, line 3: give either 'text' or 'texts'."),
        ('{"doc": 6, "text": ""}', "Line 3: split 'test' of sums has documents 0 to 5, not 6."),
    ],
)
def test_a_bad_line_is_one_sentence_and_nothing_is_written(grade, responses, tmp_path, line, said):
    responses.write_text(GOOD + line + "\n", "utf-8")
    out = tmp_path / "verdicts.jsonl"
    done = grade("sums", "--out", out)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("evalsuite: ")
    assert done.err.rstrip().endswith(said)
    assert done.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("out", ["data", "responses.jsonl/verdicts.jsonl"])
def test_a_place_that_cannot_be_written_is_found_before_the_work(grade, tmp_path, monkeypatch, out):
    from evalsuite.runs import grade as grading

    monkeypatch.delattr(grading, "TEXT_SCORERS")
    done = grade("sums", "--out", tmp_path / out)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"evalsuite: --out {tmp_path / out}: a file cannot be written there.\n"


def test_a_task_that_generates_nothing_says_so(grade):
    done = grade("quiz")
    assert done.code == 2
    assert "`grade` works for tasks that generate text" in done.err


def test_a_text_without_a_verdict_is_exit_code_1(grade, monkeypatch, responses):
    from evalsuite.runs import grade as grading
    from evalsuite.scoring.verdict import Scored
    from evalsuite.scoring.workers import ScorerFailed

    failed = ScorerFailed("the scorer's process died")
    monkeypatch.setitem(
        grading.TEXT_SCORERS, "exact_match", lambda samples, *_: Scored([[failed]] * len(samples))
    )
    responses.write_text('{"doc": 0, "text": " 3"}\n', "utf-8")
    done = grade()
    assert done.code == 1
    [verdict] = verdicts(done.out)
    assert (verdict["correct"], verdict["problem"]) == (None, "the scorer's process died")
    assert "1 texts have no verdict" in done.err
    assert "no score" in done.err
