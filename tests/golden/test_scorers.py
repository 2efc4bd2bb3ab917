"""Verdicts on texts are the reference implementations', row by row, through `grade` as a user calls it."""

import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from evalsuite.cli import main
from evalsuite.latex import extract_boxed
from evalsuite.registry.registry import Registry
from evalsuite.runs.grade import Grade, grade
from evalsuite.runs.responses_file import ResponseLine
from evalsuite.scoring.text import extract
from tests.golden.golden import GOLDEN, SHARED, needs_golden

pytestmark = [needs_golden, pytest.mark.usefixtures("one_scoring_process")]

SCORERS = GOLDEN / "scorers"
INVALID = "[invalid]"
"""What the references call an answer that was not found."""


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (SCORERS / name).read_text("utf-8").splitlines()]


@cache
def solutions(folder: Path, split: str) -> list[str]:
    import pyarrow.parquet as pq

    [file] = folder.glob(f"{split}*.parquet")
    return pq.read_table(file, columns=["solution"]).column(0).to_pylist()


def solution(row: dict) -> str:
    """The gold solution that a row names; its hash proves that it is the one."""
    text = solutions(SHARED / row["dataset"] / row["config"], row["split"])[row["index"]]
    assert sha256(text.encode()).hexdigest() == row["gold_solution_sha256"]
    return text


def graded(address: str, golds: list[str], texts: list[str]) -> list[Grade]:
    [selected] = Registry.load().select([address])
    pairs = enumerate(zip(golds, texts, strict=True), start=1)
    return grade(
        selected, [ResponseLine(n, None, (text,), False, (gold,)) for n, (gold, text) in pairs]
    ).grades


def spec(address: str):
    return Registry.load().select([address])[0].spec


def differing(golden: list[dict], found: list, wanted: list) -> list:
    assert len(golden) > 5
    assert len(set(map(str, wanted))) > 1
    pairs = zip(golden, found, wanted, strict=True)
    return [(row["row"], row["tag"], here, there) for row, here, there in pairs if here != there]


@pytest.fixture(scope="module")
def math() -> list[dict]:
    return rows("math.jsonl")


def test_math_as_on_the_nemotron_h_cards(math):
    golds, texts = [solution(row) for row in math], [row["completion"] for row in math]
    grades = graded("nemotron_h/math", golds, texts)
    judges = {(True, True): "both", (True, False): "math_verify", (False, True): "math_grader"}
    wanted = [
        (bool(row["nvidia_exact_match"]), judges.get((row["math_verify"], row["math_grader"]), "neither"))
        for row in math
    ]
    found = [(one.found[0].correct, one.found[0].decider) for one in grades]
    assert differing(math, found, wanted) == []
    boxed = [extract_boxed(text) for text in texts]
    assert differing(math, boxed, [row["math_grader_answer"] for row in math]) == []


def test_what_math_verify_reads(math):
    """Of the texts without a box: what is shown as extracted is the reference's last reading."""
    without = [row for row in math if row["math_grader_answer"] is None]
    grades = graded(
        "nemotron_h/math", [solution(row) for row in without], [row["completion"] for row in without]
    )
    wanted = [
        None if row["math_verify_parsed"] == [INVALID] else row["math_verify_parsed"][-1] for row in without
    ]
    assert differing(without, [one.found[0].extracted for one in grades], wanted) == []


def test_math_as_in_lm_eval(math):
    grades = graded(
        "lm_eval/minerva_math", [solution(row) for row in math], [row["completion"] for row in math]
    )
    found = [
        (one.metrics["exact_match"], one.metrics["math_verify"], one.found[0].extracted) for one in grades
    ]
    wanted = [
        (
            row["lm_eval_minerva_exact_match"],
            row["lm_eval_minerva_math_verify"],
            row["lm_eval_minerva_answer"],
        )
        for row in math
    ]
    assert differing(math, found, wanted) == []


@pytest.fixture(scope="module")
def gsm8k() -> list[dict]:
    return rows("gsm8k.jsonl")


def test_gsm8k_as_on_the_nemotron_h_cards(gsm8k):
    grades = graded("nemotron_h/gsm8k", [row["gold"] for row in gsm8k], [row["completion"] for row in gsm8k])
    found = [one.found[0].correct for one in grades]
    assert differing(gsm8k, found, [bool(row["nvidia_exact_match"]) for row in gsm8k]) == []
    parsed = [one.found[0].extracted for one in grades]
    wanted = [row["nvidia_parsed"][-1] if row["nvidia_parsed"] else None for row in gsm8k]
    assert differing(gsm8k, parsed, wanted) == []


@pytest.mark.parametrize("task", ["gsm8k", "gsm8k_cot"])
def test_gsm8k_as_in_lm_eval(gsm8k, task):
    grades = graded(f"lm_eval/{task}", [row["gold"] for row in gsm8k], [row["completion"] for row in gsm8k])
    for name in ("strict_match", "flexible_extract"):
        golden = [row[f"{task}_{name}"] for row in gsm8k]
        assert differing(gsm8k, [one.metrics[name] for one in grades], [one["em"] for one in golden]) == []
        pattern = spec(f"lm_eval/{task}").extractions[name]
        found = [extract(row["completion"], pattern) or INVALID for row in gsm8k]
        assert differing(gsm8k, found, [one["extracted"] for one in golden]) == []


@pytest.mark.parametrize(
    ("address", "label"), [("nemotron_h/mmlu_pro", "nvidia"), ("lm_eval/mmlu_pro", "lm_eval")]
)
def test_mmlu_pro(address, label):
    golden = rows("mmlu_pro.jsonl")
    grades = graded(address, [row["gold"] for row in golden], [row["completion"] for row in golden])
    found = [(one.found[0].extracted or INVALID, one.metrics["exact_match"]) for one in grades]
    wanted = [(row[f"{label}_extracted"], row[f"{label}_exact_match"]) for row in golden]
    assert differing(golden, found, wanted) == []


def test_a_file_of_math_is_graded_from_the_command_line(math, tmp_path, monkeypatch):
    some = math[::7]
    lines = [{"doc": row["index"], "gold": solution(row), "text": row["completion"]} for row in some]
    file = tmp_path / "responses.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    out = tmp_path / "verdicts.jsonl"
    monkeypatch.setattr("sys.argv", ["evalsuite", "grade", "math", "-r", str(file), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    verdicts = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [one["doc"] for one in verdicts] == [row["index"] for row in some]
    assert [one["correct"] for one in verdicts] == [bool(row["nvidia_exact_match"]) for row in some]
