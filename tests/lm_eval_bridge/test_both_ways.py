"""lm-eval's definitions on our engine, and our engine under lm-eval, against lm-eval with its own Hugging
Face backend."""

import pytest

from evalsuite.lm_eval_bridge.register import register
from tests.golden.golden import needs_package, needs_shared
from tests.lm_eval_bridge.conftest import LIMIT, Ours, Theirs, evaluate, hf_model, run

pytestmark = [needs_shared, needs_package("lm-eval"), pytest.mark.slow]

CHOICE = [
    "mmlu_abstract_algebra",
    "mmlu_anatomy_continuation",
    "copa",
    "cb",
    "rte",
    "sst2",
    "mrpc",
    "xnli_en",
    "truthfulqa_mc1",
    "truthfulqa_mc2",
    "local_choice",
    "local_pairs",
]
LIKELIHOOD = ["lambada_openai_cloze_yaml"]
ROLLING = ["local_rolling"]
GENERATED = [
    "mgsm_direct_en",
    "mgsm_en_cot_en",
    "gsm8k_cot_zeroshot",
    "hendrycks_math_algebra",
    "minerva_math_algebra",
    "super_glue-boolq-t5-prompt",
    "truthfulqa_gen",
    "local_texts",
]
TASKS = [*CHOICE, *LIKELIHOOD, *ROLLING, *GENERATED]
SAME = 1e-3
"""Nats between the log-likelihoods of two computations in float32."""


@pytest.fixture(scope="module")
def theirs(tiny, local) -> Theirs:
    return evaluate(hf_model(tiny), TASKS, local, limit=LIMIT)


@pytest.fixture(scope="module")
def under_theirs(tiny, local) -> Theirs:
    register()
    arguments = f"pretrained={tiny},dtype=float32"
    return evaluate("evalsuite", TASKS, local, limit=LIMIT, model_args=arguments, device="cpu")


@pytest.fixture(scope="module")
def ours(tiny, local, tmp_path_factory) -> Ours:
    return run(tiny, TASKS, tmp_path_factory.mktemp("ours"), local, limit=LIMIT)


@pytest.mark.parametrize("task", TASKS)
def test_our_run_of_their_definition_has_their_scores(ours, theirs, task):
    assert ours.metrics(task) == pytest.approx(theirs.metrics(task), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_our_engine_under_their_command_has_their_scores(under_theirs, theirs, task):
    assert under_theirs.metrics(task) == pytest.approx(theirs.metrics(task), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("task", [*CHOICE, *LIKELIHOOD])
def test_log_likelihoods_agree_document_by_document(ours, under_theirs, theirs, task):
    for own, via, other in zip(
        ours.samples(task), under_theirs.samples(task), theirs.samples(task), strict=True
    ):
        expected = [float(answer[0][0]) for answer in other["resps"]]
        assert own["log_likelihoods"] == pytest.approx(expected, abs=SAME)
        assert [float(answer[0][0]) for answer in via["resps"]] == pytest.approx(expected, abs=SAME)
        assert own["is_greedy"] == [answer[0][1] for answer in other["resps"]]


def test_windows_of_a_long_text_add_up(ours, under_theirs, theirs):
    rows = zip(
        ours.samples("local_rolling"),
        under_theirs.samples("local_rolling"),
        theirs.samples("local_rolling"),
        strict=True,
    )
    for own, via, other in rows:
        expected = float(other["resps"][0][0])
        assert sum(own["log_likelihoods"]) == pytest.approx(expected, rel=1e-5, abs=SAME)
        assert float(via["resps"][0][0]) == pytest.approx(expected, rel=1e-5, abs=SAME)
    assert len(own["log_likelihoods"]) == 2


@pytest.mark.parametrize("task", GENERATED)
def test_texts_are_equal(ours, under_theirs, theirs, task):
    for own, via, other in zip(
        ours.samples(task), under_theirs.samples(task), theirs.samples(task), strict=True
    ):
        assert own["contexts"] == [other["arguments"][0][0]]
        assert own["texts"] == other["resps"][0][:1]
        assert via["resps"] == other["resps"]


@pytest.mark.parametrize("group", ["local_group", "local_plain_mean"])
def test_a_group_has_its_score_by_its_own_rule(tiny, local, tmp_path, group):
    theirs = evaluate(hf_model(tiny), [group], local)
    ours = run(tiny, [group], tmp_path, local)
    assert ours.metrics(group) == pytest.approx({"acc": theirs.results["groups"][group]["acc,none"]})
    assert set(ours.log.task(f"lm_eval/{group}").subtasks) == {"local_choice", "local_pairs"}


def test_the_result_says_whose_definition_it_is(ours):
    record = ours.log.task("lm_eval/copa")
    assert record.source["notes"] == "run by lm-eval's own definition"
    assert record.notes[0].startswith("run by lm-eval's own definition (lm-eval 0.4.")
    assert record.data["validation"].rows == 100
