"""BBH, DROP, AGIEval, TriviaQA, CRUXEval, RACE, MMLU-Redux and C-Eval by lm-eval's definitions, on invented
rows of their schemas, against lm-eval with its own Hugging Face backend."""

import re
from pathlib import Path

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.data.subset import Subset
from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.index import names
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.types import Generated, Sample
from tests.golden.golden import needs_package
from tests.lm_eval_bridge import base_rows
from tests.lm_eval_bridge.conftest import Ours, Theirs, evaluate, hf_model, run

pytestmark = needs_package("lm-eval")

LIMIT = 2
CHOICES = ["agieval_aqua_rat", "agieval_jec_qa_ca", "race", "ceval-valid_law", "ceval-valid_logic@2"]
GENERATED = [
    "bbh_cot_fewshot_boolean_expressions",
    "bbh_cot_zeroshot_date_understanding",
    "bbh_fewshot_word_sorting",
    "bbh_zeroshot_web_of_lies",
    "drop",
    "agieval_math",
    "agieval_gaokao_mathcloze",
    "triviaqa",
    "mmlu_redux_anatomy_generative",
    "greedy_cruxeval",
]
GREEDY = """
include: {folder}/cruxeval_output.yaml
task: greedy_cruxeval
repeats: 2
generation_kwargs: {{until: ["[/ANSWER]"], max_gen_toks: 24, do_sample: false}}
"""
"""CRUXEval draws its texts at random; this variant of it draws none."""


def members(pattern: str) -> list[str]:
    """First groups of the names of tasks that match."""
    found = (re.fullmatch(pattern, name) for name, entry in names().items() if entry.kind == "task")
    return sorted(match[1] for match in found if match)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    return base_rows.write(
        tmp_path_factory.mktemp("rows"),
        members(r"bbh_zeroshot_(.+)"),
        members(r"mmlu_redux_(.+)_generative"),
        members(r"ceval-valid_(.+)"),
    )


@pytest.mark.parametrize(
    "name", ["bbh_fewshot_word_sorting", "drop", "agieval_math", "cruxeval_input", "race", "ceval-valid_law"]
)
def test_a_definition_of_each_kind_is_rendered(rows, name):
    [selected] = Registry.load().select([f"lm_eval/{name}"])
    assert len(prepare(selected, data_dir=rows, subset=Subset(2)).prompts) == 2


@pytest.fixture(scope="module")
def greedy(tmp_path_factory) -> Path:
    """Folder with the variant of CRUXEval."""
    folder = tmp_path_factory.mktemp("greedy")
    original = Path(names()["cruxeval_output"].path or "").parent
    (folder / "greedy_cruxeval.yaml").write_text(GREEDY.format(folder=original))
    return folder


@pytest.mark.slow
def test_every_name_of_these_families_is_rendered(rows):
    registry = Registry.load()
    families = (
        r"(bbh.*_(fewshot|zeroshot)|drop|agieval\w*|triviaqa|cruxeval\w*|race|mmlu_redux\w*|ceval-valid)"
    )
    some = [name for name in names() if re.fullmatch(families, name) and "spanish" not in name]
    assert len(some) > 30
    for selected in registry.select([f"lm_eval/{name}" for name in some]):
        prepared = prepare(selected, data_dir=rows, subset=Subset(1))
        assert all(prompt.contexts[0] for prompt in prepared.prompts), selected.name


def test_cruxeval_runs_the_models_code_and_asks_for_permission(tmp_path):
    [selected] = Registry.load().select(["lm_eval/cruxeval_output"])
    spec = RunSpec(tasks=(selected.address,), model="none")
    with pytest.raises(UserError, match="runs model-written code outside the sandbox"):
        execute(spec, [selected], ModelFiles("none", tmp_path), Execution(tmp_path / "run"))


def test_cruxeval_passes_a_right_number_but_no_right_string(rows):
    [selected] = Registry.load().select(["lm_eval/cruxeval_output"])
    prepared = prepare(selected, data_dir=rows)
    assert selected.spec.generation.samples == 10
    # lm-eval 0.4.13 strips the quotes of a string before it runs the program (`extract_code_output`).
    texts = ["\nassert f('ab') == 0\n", "\nassert f('ab') == 7\n", "\nassert f('ab') == 'ab'\n"]
    samples = [
        Sample(document, prompt, 2, "scored", responses=(Generated(text, 9, "stop"),) * 2)
        for document, prompt, text in zip(prepared.documents, prepared.prompts, texts, strict=True)
    ]
    judged = prepared.foreign.judge(samples)
    assert [dict(sample.metrics) for sample in judged] == [
        {"pass@1,create_test": value} for value in (1.0, 0.0, 0.0)
    ]


@pytest.fixture(scope="module")
def theirs(tiny, rows, greedy) -> Theirs:
    plain = [name for name in [*CHOICES, *GENERATED] if "@" not in name]
    options = {"limit": LIMIT, "confirm_run_unsafe_code": True}
    found = evaluate(hf_model(tiny), plain, greedy, rows, **options)
    for name in CHOICES:
        task, _, shots = name.partition("@")
        if shots:
            other = evaluate(hf_model(tiny), [task], greedy, rows, num_fewshot=int(shots), **options)
            for kind in ("results", "samples"):
                found.results[kind][name] = other.results[kind][task]
    return found


@pytest.fixture(scope="module")
def ours(tiny, rows, greedy, tmp_path_factory) -> Ours:
    out = tmp_path_factory.mktemp("ours")
    return run(tiny, [*CHOICES, *GENERATED], out, greedy, rows, limit=LIMIT, allow_unsafe_code=True)


@pytest.mark.slow
@pytest.mark.parametrize("task", [*CHOICES, *GENERATED])
def test_scores_are_theirs(ours, theirs, task):
    expected = theirs.metrics(task)
    found = ours.metrics(task)
    assert found
    assert {name: found.get(name, found.get(name.partition(",")[0])) for name in expected} == pytest.approx(
        expected, rel=1e-5, abs=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("task", GENERATED)
def test_prompts_and_texts_are_theirs(ours, theirs, task):
    for own, other in zip(ours.samples(task), theirs.samples(task), strict=True):
        assert own["contexts"] == [other["arguments"][0][0]]
        assert own["texts"] == other["resps"][0][:1]


@pytest.mark.slow
@pytest.mark.parametrize("task", CHOICES)
def test_prompts_and_log_likelihoods_are_theirs(ours, theirs, task):
    for own, other in zip(ours.samples(task), theirs.samples(task), strict=True):
        pairs = [(context, text) for context in own["contexts"] for text in own["continuations"]]
        assert pairs == [tuple(arguments) for arguments in other["arguments"]]
        expected = [float(answer[0][0]) for answer in other["resps"]]
        assert own["log_likelihoods"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["agieval_nous", "ceval-valid"])
def test_groups_are_scored_by_their_own_rule(tiny, rows, greedy, tmp_path, group):
    theirs = evaluate(hf_model(tiny), [group], greedy, rows, limit=1)
    ours = run(tiny, [group], tmp_path, greedy, rows, sample=None, limit=len(theirs.results["samples"]))
    rule = theirs.results["groups"][group]
    expected = {name.removesuffix(",none"): value for name, value in rule.items() if name.endswith(",none")}
    assert ours.metrics(group) == pytest.approx({name: expected[name] for name in ours.metrics(group)})
