"""Code tasks from rows to scores: right programs pass, and one changed operator fails where EvalPlus fails
it."""

import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from evalsuite.tasks import evalplus as released

from evalsuite.checkpoints import ModelFiles
from evalsuite.prompting.spec import CodeRun
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.scoring import plus_tests
from evalsuite.scoring.judge import judge_samples
from evalsuite.types import Document, Generated, Sample
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.runs.bench import ScriptedEngine
from tests.tasks.one_operator import with_one_operator_changed

pytestmark = needs_shared

HUMANEVAL = ("nemotron_h/humaneval", "lm_eval/humaneval", "evalsuite/humaneval")
HUMANEVAL_PLUS = (
    "nemotron_h/humaneval_plus",
    "lm_eval/humaneval_plus",
    "evalsuite/humaneval_plus",
    "evalsuite/humaneval_plus:release",
)
MBPP = ("nemotron_h/mbpp", "lm_eval/mbpp", "evalsuite/mbpp")
MBPP_PLUS = (
    "nemotron_h/mbpp_plus",
    "lm_eval/mbpp_plus",
    "evalsuite/mbpp_plus",
    "evalsuite/mbpp_plus:release",
)
ADDRESSES = (*HUMANEVAL, *HUMANEVAL_PLUS, *MBPP, *MBPP_PLUS)

UNPASSABLE = {
    # The sanitiser drops a function that the tests call besides the entry point.
    "nemotron_h/humaneval": {"HumanEval/50"},
    # The published test takes a root for a polynomial.
    "nemotron_h/humaneval_plus": {"HumanEval/32"},
    "lm_eval/humaneval_plus": {"HumanEval/32"},
    # `math` is imported by the row's imports, which the reference does not run, or not by the answer alone.
    "nemotron_h/mbpp": {98, 124, 137, 139, 163, 233, 246, 248, 276, 300},
    "lm_eval/mbpp_plus": {98, 124, 137, 300},
    # The set-up code of the tests is not run.
    "lm_eval/mbpp": {367},
    # A function with `yield` and without `return` is dropped.
    "nemotron_h/mbpp_plus": {630},
}
"""Documents whose own solution is wrong by a recipe, because of what its reference does."""


@cache
def prepared(address: str) -> PreparedTask:
    [selected] = Registry.load().select([address])
    return prepare(selected, data_dir=SHARED)


def completion(document: Document) -> str:
    """What a model that knows the data set's own solution writes."""
    row = document.row
    return row.get("canonical_solution") or row["code"]


def judged(address: str, documents: list[Document], texts: list[str], **run) -> list[Sample]:
    task = prepared(address)
    spec = task.selected.spec
    if run:
        metrics = ("pass@1", "base_pass@1") if "base" in documents[0].question.tests else ("pass@1",)
        spec = spec.model_copy(update={"code": CodeRun(**run), "metrics": metrics})
    samples = [
        Sample(document, task.prompts[document.index], 0, "scored", responses=(Generated(text, 1, "eos"),))
        for document, text in zip(documents, texts, strict=True)
    ]
    return judge_samples(samples, spec).samples


def wrong(samples: list[Sample]) -> set:
    assert {sample.status for sample in samples} == {"scored"}
    return {sample.document.row["task_id"] for sample in samples if not sample.metrics["pass@1"]}


@pytest.mark.parametrize("address", ADDRESSES)
def test_solutions_of_the_data_set_pass_their_tests(address):
    documents = prepared(address).documents[1::40]
    samples = judged(address, documents, [completion(document) for document in documents])
    assert wrong(samples) == UNPASSABLE.get(address, set()) & {one.row["task_id"] for one in documents}


@pytest.mark.slow
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_solution_of_the_data_set_passes_its_tests(address):
    documents = prepared(address).documents
    samples = judged(address, documents, [completion(document) for document in documents])
    assert wrong(samples) == UNPASSABLE.get(address, set())
    if "base_pass@1" in samples[0].metrics:
        fail_base = {one.document.row["task_id"] for one in samples if not one.metrics["base_pass@1"]}
        assert fail_base == UNPASSABLE.get(address, set())


def changed(documents: list[Document]) -> dict[int, str]:
    """By document: its solution with one operator changed, where it has an operator."""
    programs = {
        document.index: with_one_operator_changed(document.question.solution, document.index)
        for document in documents
    }
    return {index: program for index, program in programs.items() if program}


def evalplus_verdicts(dataset: str, document: Document, program: str) -> tuple[bool, bool]:
    """(base, plus) as evalplus 0.3.1 judges the program on its own release file."""
    from evalplus.eval import PASS, untrusted_check
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    row = document.row
    name, shape = row["entry_point"], list
    if dataset == "mbpp":
        from evalplus.data.mbpp import mbpp_deserialize_inputs

        def shape(inputs):
            return mbpp_deserialize_inputs(row["task_id"], inputs)

    verdicts = []
    for inputs in (shape(row["base_input"]), shape(row["plus_input"])):
        expected, seconds = trusted_exec(
            row["prompt"] + row["canonical_solution"],
            inputs,
            name,
            record_time=True,
            output_not_none=name in MBPP_OUTPUT_NOT_NONE_TASKS,
        )
        atol = float(row["atol"])
        status, _ = untrusted_check(
            dataset, program, inputs, name, expected, atol, seconds, fast_check=True, min_time_limit=4.0
        )
        verdicts.append(status == PASS)
    return verdicts[0], all(verdicts)


def compared_with_evalplus(address: str, dataset: str, step: int) -> tuple[dict, dict]:
    """Verdicts of EvalPlus and ours, on the release file's inputs, by document."""
    documents = prepared(address).documents[::step]
    programs = changed(documents)
    documents = [document for document in documents if document.index in programs]
    theirs = {one.index: evalplus_verdicts(dataset, one, programs[one.index]) for one in documents}
    samples = judged(address, documents, list(programs.values()), tests="plus")
    ours = {
        sample.document.index: (bool(sample.metrics["base_pass@1"]), bool(sample.metrics["pass@1"]))
        for sample in samples
    }
    return theirs, ours


@needs_package("evalplus")
@pytest.mark.parametrize(
    ("address", "dataset"),
    [("evalsuite/humaneval_plus:release", "humaneval"), ("evalsuite/mbpp_plus:release", "mbpp")],
)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 40], ids=["all", "some"])
def test_one_changed_operator_is_judged_as_evalplus_judges_it(address, dataset, step):
    theirs, ours = compared_with_evalplus(address, dataset, step)
    assert ours == theirs
    assert (False, False) in theirs.values()
    if step == 1:
        assert {(True, True), (True, False)} <= set(theirs.values())  # Some changes do not show.


@needs_package("evalplus")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "release", "dataset"),
    [
        ("evalsuite/humaneval_plus", "evalsuite/humaneval_plus:release", "humaneval"),
        ("evalsuite/mbpp_plus", "evalsuite/mbpp_plus:release", "mbpp"),
    ],
)
def test_one_changed_operator_fails_by_the_hubs_tests_where_evalplus_fails_it(address, release, dataset):
    programs = changed(prepared(release).documents)
    by_id = {str(document.row["task_id"]): document for document in prepared(address).documents}
    chosen = [document for document in prepared(release).documents if document.index in programs]
    failing = [one for one in chosen if not evalplus_verdicts(dataset, one, programs[one.index])[1]]
    documents = [by_id[one.row["task_id"].removeprefix("Mbpp/")] for one in failing]
    tests = prepared(address).selected.spec.code.tests
    samples = judged(address, documents, [programs[one.index] for one in failing], tests=tests)
    assert len(wrong(samples)) == len(failing)


def verdicts_of_both_forms(
    hub: str, release: str, theirs: list[Document]
) -> list[tuple[str, bool, bool, bool, bool]]:
    """Of each problem of the release: its number, then by the hub's form and by the release's, whether its
    solution passes and whether the same with one operator changed does (passes if there is no operator).
    """
    by_id = {str(one.row["task_id"]).removeprefix("Mbpp/"): one for one in prepared(hub).documents}
    ours = [by_id[one.row["task_id"].removeprefix("Mbpp/")] for one in theirs]
    mutants = changed(theirs)
    right = [completion(one) for one in theirs]
    broken = [mutants.get(one.index, completion(one)) for one in theirs]
    found = []
    for address, documents in ((hub, ours), (release, theirs)):
        samples = judged(address, documents * 2, right + broken)
        assert {one.document.row["task_id"]: one.reason for one in samples if one.status != "scored"} == {}
        found.append([bool(one.metrics["pass@1"]) for one in samples])
    count = len(theirs)
    return [
        (one.row["task_id"], found[0][n], found[0][n + count], found[1][n], found[1][n + count])
        for n, one in enumerate(theirs)
    ]


@pytest.mark.parametrize(
    ("hub", "release"),
    [
        ("evalsuite/humaneval_plus", "evalsuite/humaneval_plus:release"),
        ("evalsuite/mbpp_plus", "evalsuite/mbpp_plus:release"),
    ],
)
@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 60], ids=["all", "some"])
def test_both_forms_pass_every_solution_and_agree_on_a_mutant_of_each(hub, release, step):
    found = verdicts_of_both_forms(hub, release, prepared(release).documents[::step])
    assert [one[0] for one in found if not (one[1] and one[3])] == []
    assert [one[0] for one in found if one[2] != one[4]] == []
    assert sum(not one[2] for one in found) > len(found) / 3


@pytest.mark.slow
def test_both_forms_agree_on_the_problem_of_the_largest_results_and_on_the_slowest():
    """255 has results of 911 MiB as text and no operator; 599 adds up a hundred million numbers, sixteen
    times."""
    hub, release = "evalsuite/mbpp_plus", "evalsuite/mbpp_plus:release"
    chosen = [one for one in prepared(release).documents if one.row["task_id"] in ("Mbpp/255", "Mbpp/599")]
    assert verdicts_of_both_forms(hub, release, chosen) == [
        ("Mbpp/255", True, True, True, True),
        ("Mbpp/599", True, False, True, False),
    ]


@needs_package("evalplus")
def test_arguments_have_the_shapes_that_evalplus_gives_them():
    from evalplus.data.mbpp import mbpp_deserialize_inputs

    for document in prepared("evalsuite/mbpp_plus:release").documents:
        row = document.row
        shape = released.ARGUMENTS.get(int(row["task_id"].removeprefix("Mbpp/")), list)
        inputs = [*row["base_input"], *row["plus_input"]]
        theirs = [tuple(arguments) for arguments in mbpp_deserialize_inputs(row["task_id"], inputs)]
        assert repr([tuple(shape(arguments)) for arguments in inputs]) == repr(theirs), row["task_id"]


@needs_package("evalplus")
def test_the_special_rules_are_those_of_evalplus():
    from evalplus.eval import _special_oracle as special

    ours = {
        rule: {name for name, one in plus_tests.RULES.items() if one == rule}
        for rule in plus_tests.RULES.values()
    }
    names = {one.question.entry_point for one in prepared("evalsuite/mbpp_plus:release").documents}
    assert ours["equal_sets"] == set(special.MBPP_OUTPUT_SET_EQ_TASKS) & names
    assert ours["found_or_not"] == set(special.MBPP_OUTPUT_NOT_NONE_TASKS) & names
    from evalsuite.scoring import plus_check as check

    for edge, height in [(3, 4), (4, 5), (1, 2), (7.5, 0.3)]:
        assert check.pyramid_surface(edge, height) == special._surface_Area(edge, height)
    for one, other in [(1, 2), (23, 56), (123, 256), (7, 1000)]:
        assert check.digits_apart(one, other) == special._digit_distance_nums(one, other)
    assert check.polynomial_at([3, -2, 0, 1], 1.5) == special._poly([3, -2, 0, 1], 1.5)


def test_no_name_of_a_released_problem_is_one_of_the_check_itself():
    from evalsuite.scoring import plus_check as check
    from evalsuite.scoring import plus_kept as keeping

    own = {name for part in (check, keeping) for name in vars(part) if not name.startswith("__")}
    own |= {"reference_solution", "inf", "nan", plus_tests.KEPT}
    own -= {"math", "time"}  # the same modules in both
    for address in ("evalsuite/humaneval_plus:release", "evalsuite/mbpp_plus:release"):
        for document in prepared(address).documents:
            defined = set(
                re.findall(r"^(?:def|class) (\w+)|^(\w+) =", document.question.solution, re.MULTILINE)
            )
            assert not own & {name for pair in defined for name in pair}, document.row["task_id"]
    assert "evalsuite" not in re.sub('""".*?"""', "", inspect.getsource(check), flags=re.DOTALL)


ERRING = 2
"""Documents of the corrupted oracle that are answered wrongly."""


@pytest.mark.slow  # tests/golden/test_oracle.py asks the same of every spec with fewer documents
@pytest.mark.parametrize("address", ADDRESSES)
def test_right_answers_score_1_and_a_known_share_of_wrong_ones_exactly_that(address, tmp_path):
    task = prepared(address)
    limit = 8
    right = task.documents[:limit]
    assert not {one.row["task_id"] for one in right} & UNPASSABLE.get(address, set())
    for wrong_ones in ({}, {1, 5}):
        texts = {
            task.prompts[one.index].contexts[0]: "    return\n"
            if one.index in wrong_ones
            else completion(one)
            for one in right
        }
        engine = ScriptedEngine(text=texts.__getitem__)
        spec = RunSpec(tasks=(address,), model="scripted", limit=limit)
        execution = Execution(folder=tmp_path / str(len(wrong_ones)), data_dir=SHARED)
        log = execute(
            spec, [task.selected], ModelFiles("scripted", Path("nowhere")), execution, engine=engine
        )
        [record] = log.tasks
        metric = record.metrics["pass@1"]
        assert (metric.value, metric.n) == (1 - len(wrong_ones) / limit, limit)
        assert log.status == "complete"
        assert any(note.startswith("Programs ran in the sandbox's tier") for note in record.notes)
