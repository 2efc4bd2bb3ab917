"""Verdicts on texts of NVIDIA's base suite are those of nvidia-lm-eval 26.3, row by row."""

import json

import pytest

from evalsuite.prompting.spec import PromptSpec
from evalsuite.registry.registry import Registry
from evalsuite.scoring.choice import chosen_answer
from evalsuite.scoring.judge import judge_samples
from evalsuite.types import Document, Generated, MultipleChoice, OpenAnswer, Prompt, Question, Sample, Score
from tests.golden.golden import GOLDEN, needs_golden, needs_side_package

pytestmark = [needs_golden, pytest.mark.usefixtures("one_scoring_process")]

needs_math_verify = needs_side_package("math-verify", "0.9.0")
INVALID = "[invalid]"
"""What the reference calls an answer that was not found."""


def rows(name: str) -> list[dict]:
    file = GOLDEN / "suites" / "scorers" / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def spec(task: str) -> PromptSpec:
    return Registry.load().select([f"nemotron_base/{task}"])[0].spec


def judged(task: str, asked: list[tuple[Question, list[str], str]], **changes) -> list[Sample]:
    """The samples of questions with their texts and member tasks."""
    samples = [
        Sample(
            document=Document(place, "", place, {}, question, member=member),
            prompt=Prompt(()),
            shots=0,
            status="scored",
            gold=question.answers[0] if isinstance(question, OpenAnswer) else str(question.answer),
            responses=tuple(Generated(text, 0, "stop") for text in texts),
        )
        for place, (question, texts, member) in enumerate(asked)
    ]
    found = judge_samples(samples, spec(task).model_copy(update=changes)).samples
    assert [(one.status, one.reason) for one in found] == [("scored", "")] * len(found)
    return found


def differing(golden: list[dict], found: list, wanted: list) -> list:
    assert len(golden) > 5
    assert len(set(map(str, wanted))) > 1
    pairs = zip(golden, found, wanted, strict=True)
    return [(row["row"], row["tag"], here, there) for row, here, there in pairs if here != there]


def test_agieval():
    golden = rows("agieval")
    asked = [
        (MultipleChoice("", ("",) * row["n_options"], ord(row["gold"]) - ord("A")), [row["completion"]], "")
        for row in golden
    ]
    found = [(one.prediction or INVALID, one.metrics["exact_match"]) for one in judged("agieval_en", asked)]
    wanted = [(row["nvidia_extracted"], row["nvidia_exact_match"]) for row in golden]
    assert differing(golden, found, wanted) == []


def in_brackets(answer: str | None) -> str:
    """Our letters as the reference writes them; what is not a letter is the text that it found."""
    if answer is None:
        return INVALID
    return f"({answer})" if len(answer) == 1 and answer.isupper() else answer


def test_gpqa():
    golden = rows("gpqa")
    asked = [
        (MultipleChoice("", tuple(row["choices"]), ord(row["gold"][1]) - ord("A")), [row["completion"]], "")
        for row in golden
    ]
    samples = judged("gpqa_diamond", asked)
    found = [(in_brackets(one.prediction), bool(one.metrics["exact_match"])) for one in samples]
    wanted = [(row["nvidia_extracted"], row["nvidia_exact_match"]) for row in golden]
    assert differing(golden, found, wanted) == []


@needs_math_verify
def test_math_500_sampled():
    golden = rows("math_500_sampled")
    found = []
    for row in golden:
        count = len(row["completions"])
        names = tuple(name.partition("[")[0] for name in row["nvidia_metrics"])
        question = OpenAnswer("", ("",), row["gold_solution"])
        [sample] = judged("math_500_sampled", [(question, row["completions"], "")], metrics=names)
        metrics = {f"{name}[{count}]": round(value, 12) for name, value in sample.metrics.items()}
        found.append((list(sample.correct), metrics))
    wanted = [
        (
            row["nvidia_passed"],
            {name: round(value, 12) for name, value in row["nvidia_metrics"].items()},
        )
        for row in golden
    ]
    assert differing(golden, found, wanted) == []
    parsed = [one for row in golden for one in row["nvidia_parsed"]]
    assert INVALID in parsed


FILTERS = ("strict_match", "flexible_extract", "symbolic_match")


@needs_math_verify
def test_mgsm():
    golden = rows("mgsm")
    asked = [(OpenAnswer("", (str(row["gold"]),)), [row["completion"]], row["language"]) for row in golden]
    samples = judged("mgsm_native", asked)
    for name in FILTERS:
        wanted = [row[f"nvidia_{name}"]["em"] for row in golden]
        assert differing(golden, [one.metrics[name] for one in samples], wanted) == []
    shown = [one.extracted[0] or INVALID for one in samples]
    wanted = [row["nvidia_flexible_extract"]["extracted"] for row in golden]
    assert differing(golden, shown, wanted) == []


def test_race():
    golden = rows("race")
    found = []
    for row in golden:
        scores = [Score((float(value),), is_greedy=False) for value in row["loglikelihood"]]
        question = MultipleChoice("", tuple(row["letters"]), row["gold"])
        found.append(chosen_answer(question, question.choices, scores).metrics["acc"])
    assert differing(golden, found, [row["nvidia_acc"] for row in golden]) == []
