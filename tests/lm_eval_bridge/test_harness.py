"""Which definition a name means, and what is refused in one sentence."""

import pytest
from typer.testing import CliRunner

from evalsuite.checkpoints import ModelFiles
from evalsuite.cli import app
from evalsuite.data.subset import Subset
from evalsuite.errors import DataError, UnknownName, UserError
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.results.aggregate import token_counts
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.tables import token_remarks
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.runs.rescore import rescore
from tests.data.tiny_mirror import TinyMirror
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.lm_eval_bridge.conftest import run

pytestmark = needs_package("lm-eval")

ONLY_TEST = """
task: only_test
dataset_path: me/only_test
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: gold
doc_to_choice: choices
num_fewshot: 2
metric_list:
  - metric: acc
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def test_our_spec_comes_first_and_lm_eval_has_the_rest(registry):
    ours, theirs = registry.select(["lm_eval/gsm8k", "lm_eval/gsm8k_cot_zeroshot"])
    assert ours.foreign is None
    assert theirs.foreign is not None
    assert theirs.address == "lm_eval/gsm8k_cot_zeroshot:generate@0"
    assert theirs.spec.source.notes == "run by lm-eval's own definition"
    assert registry.select([theirs.address])[0].spec == theirs.spec


def test_a_tag_stands_for_its_tasks_ours_where_we_have_a_spec(registry):
    selected = registry.select(["lm_eval/ai2_arc"])
    assert [one.name for one in selected] == ["lm_eval/arc_challenge", "lm_eval/arc_easy"]
    assert not any(one.foreign for one in selected)


def test_a_group_without_a_score_stands_for_its_parts(registry, local):
    selected = Registry.load([local]).select(["lm_eval/local_group", "lm_eval/local_tag"])
    assert [one.name for one in selected] == [
        "lm_eval/local_group",
        "lm_eval/local_choice",
        "lm_eval/local_pairs",
    ]


def test_shots_and_forms_follow_the_definition(registry):
    assert registry.select(["lm_eval/minerva_math_algebra"])[0].spec.shots.count == 4
    changed = registry.select(["lm_eval/copa@3"])[0]
    assert (changed.name, changed.spec.shots.count) == ("lm_eval/copa@3", 3)
    assert changed.spec.sha256 != registry.select(["lm_eval/copa"])[0].spec.sha256
    with pytest.raises(UserError, match="supports only 0 shots"):
        registry.select(["lm_eval/humaneval_instruct@2"])
    with pytest.raises(UserError, match="supports only the format 'cloze'"):
        registry.select(["lm_eval/copa:letters"])


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("lm_eval/mmlu_abstact_algebra", "Did you mean mmlu_abstract_algebra"),
        ("lm_eval/hellaswga", "Did you mean hellaswag"),
    ],
)
def test_an_unknown_name_is_answered_with_names_of_lm_eval(registry, address, told):
    with pytest.raises(UnknownName, match=told):
        registry.select([address])


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("lm_eval/mmmu_val", "uses images or audio"),
        ("lm_eval/flan_held_in", "contains an inline task definition"),
    ],
)
def test_what_our_engine_cannot_answer_is_refused(registry, address, told):
    with pytest.raises(UserError, match=told):
        registry.select([address])


def test_unsafe_code_is_refused_before_anything_is_loaded(registry, tmp_path):
    [selected] = registry.select(["lm_eval/humaneval_instruct"])
    spec = RunSpec(tasks=(selected.address,), model="none")
    with pytest.raises(UserError, match=r"runs model-written code outside the sandbox.*--allow-unsafe-code"):
        execute(spec, [selected], ModelFiles("none", tmp_path), Execution(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_missing_data_set_says_where_it_was_sought(registry, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    [selected] = registry.select(["lm_eval/wikitext"])
    with pytest.raises(DataError, match="was not found") as told:
        prepare(selected, data_dir=tmp_path)
    assert f"mirror {tmp_path}: no folder EleutherAI/wikitext_document_level" in str(told.value)
    assert "hub: HF_HUB_OFFLINE is set" in str(told.value)


def test_a_format_of_files_without_files_does_not_read_the_working_folder(tmp_path):
    path = tmp_path / "only_test.yaml"
    path.write_text(ONLY_TEST.replace("me/only_test", "json"))
    [task] = Registry.load([path]).select(["lm_eval/only_test"])
    with pytest.raises(DataError, match="The dataset 'json' is a format of files, and no file is named"):
        prepare(task)


def test_another_split_is_refused(registry):
    with pytest.raises(UserError, match="lm_eval/copa sets its split to 'validation'"):
        prepare(registry.select(["lm_eval/copa"])[0], split="test")


@needs_shared
def test_a_split_that_no_shot_comes_from_may_be_missing(registry):
    prepared = prepare(registry.select(["lm_eval/copa"])[0], data_dir=SHARED, subset=Subset(2))
    assert [document.index for document in prepared.documents] == [0, 1]
    assert "Split 'train' of aps/super_glue was not found; no shot is drawn from it." in prepared.notes
    with pytest.raises(UserError, match="has no split 'train'; it has validation"):
        prepare(registry.select(["lm_eval/copa@2"])[0], data_dir=SHARED, subset=Subset(2))


def test_a_limit_takes_members_in_turn_and_leaves_draws_alone(local):
    [group] = Registry.load([local]).select(["lm_eval/local_group"])
    some, whole = prepare(group, subset=Subset(3)), prepare(group)
    assert [(one.subtask, one.subtask_index) for one in some.documents] == [
        ("local_choice", 0),
        ("local_choice", 1),
        ("local_pairs", 0),
    ]
    at = {document.index: place for place, document in enumerate(whole.documents)}
    assert all(some.prompt(place) == whole.prompt(at[one.index]) for place, one in enumerate(some.documents))


def test_a_run_can_be_scored_again_from_its_answers(tiny, local, tmp_path):
    tasks = ["local_texts", "local_rolling", "local_choice"]
    ours = run(tiny, tasks, tmp_path / "run", local)
    log, changes = rescore(tmp_path / "run", tmp_path / "again", Registry.load([local]))
    assert [task.metrics for task in log.tasks] == [task.metrics for task in ours.log.tasks]
    assert not any(change.documents for change in changes)


def test_the_verbs_without_a_model_know_these_tasks(local, tmp_path):
    def said(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    included = ("--include", str(local))
    shown = said("show", "lm_eval/local_pairs", *included, "--doc", "1")
    assert "run by lm-eval's own definition" in shown
    assert "The·1·horses" in shown
    said("requests", "--tasks", "lm_eval/local_texts", *included, "--out", str(tmp_path))
    assert (tmp_path / "lm_eval.local_texts.parquet").exists()
    assert "lm_eval/wikitext " in said("list", "lm-eval")


def test_a_mirror_that_changed_and_another_of_the_same_name_give_their_own_rows(tmp_path):
    definition = tmp_path / "only_test.yaml"
    definition.write_text(ONLY_TEST.replace("num_fewshot: 2", "num_fewshot: 0"))
    [selected] = Registry.load([definition]).select(["lm_eval/only_test"])

    def asked(mirror: str, question: str) -> str:
        TinyMirror(tmp_path / mirror).add(
            "me/only_test", "test", [{"q": question, "choices": ["a"], "gold": 0}]
        )
        return prepare(selected, data_dir=tmp_path / mirror).documents[0].row["q"]

    assert [asked("one", "first"), asked("two", "other"), asked("one", "second")] == [
        "first",
        "other",
        "second",
    ]


def test_a_document_among_its_own_shots_is_counted_and_said(tmp_path):
    rows = [{"q": f"Q{n}", "choices": [f"A{n}", f"B{n}"], "gold": 0} for n in range(3)]
    TinyMirror(tmp_path / "data").add("me/only_test", "test", rows)
    definition = tmp_path / "only_test.yaml"
    definition.write_text(ONLY_TEST)
    [selected] = Registry.load([definition]).select(["lm_eval/only_test"])
    prepared = prepare(selected, data_dir=tmp_path / "data")
    shown = [
        document.row["q"]
        for document, prompt in zip(prepared.documents, prepared.prompts, strict=True)
        if f"{document.row['q']} A" in prompt.contexts[0]
    ]
    assert shown  # lm-eval compares the names of splits, and this definition names none for shots
    counts = token_counts(prepared, [])
    assert counts.among_shots == len(shown)
    assert any(
        f"{len(shown)} of 3 documents contain the document itself" in said for said in token_remarks(counts)
    )
