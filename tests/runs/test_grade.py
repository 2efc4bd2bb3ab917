"""Texts that were generated elsewhere get the verdicts that a run would give them."""

from dataclasses import replace

import pytest

from evalsuite.errors import UserError
from evalsuite.prompting.spec import Extraction
from evalsuite.runs import grade as grading
from evalsuite.runs.grade import Grade, grade, summary
from evalsuite.runs.responses_file import ResponseLine
from evalsuite.scoring.verdict import Scored, TextVerdict
from evalsuite.scoring.workers import ScorerFailed
from tests.runs.bench import Bench, oracle


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("bench"), documents=6)


def line(doc: int | None, *texts: str, gold: tuple[str, ...] = (), number: int = 1) -> ResponseLine:
    return ResponseLine(number, doc, texts, len(texts) != 1, gold)


def sums(bench, *lines: ResponseLine, **changes) -> list[Grade]:
    [selected] = bench.select("sums")
    selected = replace(selected, spec=selected.spec.model_copy(update=changes))
    return grade(selected, list(lines), data_dir=bench.data).grades


def test_lines_are_graded_by_themselves_in_any_order(bench):
    grades = sums(bench, line(4, " 7"), line(0, "so 3"), line(4, "8"), line(4, "nothing"))
    assert [one.record() for one in grades] == [
        {
            "doc": doc,
            "correct": right,
            "extracted": answer,
            "grader": "exact_match",
            "metrics": {"exact_match": float(right)},
        }
        for doc, right, answer in ((4, True, "7"), (0, True, "3"), (4, False, "8"), (4, False, None))
    ]


def test_several_texts_give_lists_and_their_mean(bench):
    [one] = sums(bench, line(1, "4", "5", "4 and", "?"))
    record = one.record()
    assert record["correct"] == [True, False, True, False]
    assert record["extracted"] == ["4", "5", "4", None]
    assert record["grader"] == ["exact_match"] * 4
    assert record["metrics"] == {"exact_match": 0.5}


def test_a_list_of_one_text_stays_a_list(bench):
    [one] = sums(bench, ResponseLine(1, 0, ("3",), True))
    assert one.record()["correct"] == [True]


def test_gold_of_a_line_goes_before_the_documents(bench):
    grades = sums(bench, line(0, "12", gold=("12",)), line(None, "13", gold=("12", "13")), line(0, "12"))
    assert [one.record()["correct"] for one in grades] == [True, True, False]


def test_with_gold_on_every_line_no_data_is_read(bench, tmp_path):
    [selected] = bench.select("sums")
    [one] = grade(selected, [line(99, "12", gold=("12",))], data_dir=tmp_path).grades
    assert one.record()["correct"] is True


def test_shots_are_not_needed(bench, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    Bench.make(tmp_path, documents=6)
    (data / "tiny" / "sums" / "default" / "train.parquet").unlink()
    [selected] = bench.select("sums")
    [one] = grade(selected, [line(2, "5")], data_dir=data).grades
    assert one.record()["correct"] is True


def test_metrics_over_samples_are_given_where_there_are_enough(bench):
    metrics = ("maj@3", "exact_match", "pass@2")
    grades = sums(bench, line(0, "3", "4", "4", "3"), line(0, "3"), metrics=metrics)
    assert grades[0].metrics == {"maj@3": 0.0, "exact_match": 0.5, "pass@2": pytest.approx(5 / 6)}
    assert grades[1].metrics == {"exact_match": 1.0}


def test_a_text_that_the_scorer_failed_on_is_neither_right_nor_wrong(bench, monkeypatch):
    def scorer(samples, spec, options):
        return Scored(
            [
                [TextVerdict(True, "3", "x"), ScorerFailed("the scorer gave no verdict in 30 s")]
                for _ in samples
            ]
        )

    monkeypatch.setitem(grading.TEXT_SCORERS, "exact_match", scorer)
    grades = sums(bench, line(0, "3", "hang"))
    record = grades[0].record()
    assert record["correct"] == [True, None]
    assert record["problem"] == [None, "the scorer gave no verdict in 30 s"]
    assert record["metrics"] == {}
    told = summary(grades)
    assert (told.lines, told.texts, told.without_verdict, told.scores) == (1, 2, 1, {})


def graded_by_hand(*pairs: tuple[int | None, float]) -> list[Grade]:
    return [
        Grade(line(doc, "t", number=place), [TextVerdict(bool(value), "t", "x")], {"exact_match": value})
        for place, (doc, value) in enumerate(pairs, start=1)
    ]


def test_the_summary_is_the_mean_over_lines():
    told = summary(graded_by_hand((0, 1.0), (1, 0.0), (2, 1.0), (3, 1.0)))
    score = told.scores["exact_match"]
    assert (score.value, score.n, score.clusters) == (0.75, 4, None)


def test_lines_of_the_same_document_are_not_independent():
    once = summary(graded_by_hand((0, 1.0), (1, 0.0), (2, 1.0), (3, 1.0))).scores["exact_match"]
    again = summary(graded_by_hand(*[(0, 1.0), (1, 0.0), (2, 1.0), (3, 1.0)] * 5)).scores["exact_match"]
    assert (again.n, again.clusters) == (20, 4)
    assert again.stderr >= once.stderr * 0.9


def test_failures_leave_no_score_unless_allowed():
    failed = Grade(line(1, "t"), [ScorerFailed("died")], {})
    grades = [*graded_by_hand((0, 1.0), (2, 0.0)), failed]
    assert summary(grades).scores == {}
    assert summary(grades, allow_failures=True).scores["exact_match"].n == 2


def test_a_document_that_is_not_there_is_named_with_its_line(bench):
    with pytest.raises(UserError, match="Line 7: split 'test' of sums has documents 0 to 5, not 6"):
        sums(bench, line(6, "9", number=7))


def test_log_likelihood_tasks_are_not_graded(bench):
    [selected] = bench.select("quiz")
    with pytest.raises(UserError, match="quiz compares the log-likelihoods of choices"):
        grade(selected, [line(0, "2")], data_dir=bench.data)


def test_numbers_are_compared_as_numbers_and_the_gold_answer_must_be_one(bench):
    lines = [line(0, "The answer is 5 - 2 = 3."), line(0, "3 or 4"), line(None, "$9{,}500", gold=("9,500",))]
    found = [one.record() for one in sums(bench, *lines, scorer="number", extraction=None)]
    assert [(one["correct"], one["extracted"], one["grader"]) for one in found] == [
        (True, "3", "number"),
        (False, None, "number"),
        (True, "9500", "number"),
    ]
    with pytest.raises(UserError, match="Line 1: the gold answer of sums must be a number, got 'blue'"):
        sums(bench, line(0, "3", gold=("blue",)), scorer="number", extraction=None)


def test_a_letter_is_wanted_where_letters_are_asked_for(bench):
    question = "{{ stem }}\n{{ letters[0] }}:"
    assert sums(
        bench, line(0, "3 B", gold=("B",)), question=question, extraction=Extraction(patterns=("[A-Z]",))
    )[0].metrics
    with pytest.raises(UserError, match="Line 1: the gold answer of sums must be a letter, got '3'"):
        sums(bench, line(0, "B", gold=("3",)), question=question)


def test_grades_are_those_of_a_run(bench, tmp_path):
    """Every answer of a run, graded again from its table, has the verdict that the run gave it."""
    from evalsuite.results.samples import read_samples

    bench.execute(oracle([bench.prepared("sums")], wrong={1, 4}), "sums")
    rows = read_samples(bench.out / "samples" / "sums.parquet")
    grades = sums(bench, *(line(row["doc"], *row["texts"]) for row in rows))
    assert [one.record()["correct"] for one in grades] == [row["correct"][0] for row in rows]
    assert [one.record()["extracted"] for one in grades] == [row["extracted"][0] for row in rows]
    assert {row["doc"] for row in rows if not row["correct"][0]} == {1, 4}


def test_texts_that_a_run_would_have_cut_are_judged_whole_and_counted(bench):
    prepared = bench.prepared("sums")
    lines = [line(0, "1"), line(1, "2\nQ: next"), line(2, "3\n", "3")]
    graded = grade(prepared.selected, lines, data_dir=bench.data)
    [note] = [note for note in graded.notes if "stop string" in note]
    assert note.startswith("2 of 4 texts contain a stop string ('\\n'): a run would have ended them there.")
    assert not [
        note for note in grade(prepared.selected, lines[:1], data_dir=bench.data).notes if "stop" in note
    ]
