"""Results of lm-eval that are old, odd or broken: imported, or refused in a sentence."""

import copy
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.cli import main
from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.importing import import_results
from evalsuite.results.runlog import read_run
from tests.data.test_malformed_files import broken

RESULTS = {
    "results": {"t": {"alias": "t", "exact_match,none": 0.5, "exact_match_stderr,none": 0.1}},
    "group_subtasks": {},
    "configs": {
        "t": {
            "task": "t",
            "output_type": "generate_until",
            "test_split": "test",
            "num_fewshot": 0,
            "generation_kwargs": {"until": ["\n"]},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        }
    },
    "versions": {"t": 1},
    "n-shot": {"t": 0},
    "n-samples": {"t": {"original": 1, "effective": 1}},
    "config": {"model": "hf", "model_args": "pretrained=x"},
    "date": 1.7e9,
    "lm_eval_version": "0.4.13",
}
SAMPLE = {
    "doc_id": 0,
    "doc": {"q": "a", "a": "b"},
    "target": "b",
    "arguments": {"gen_args_0": {"arg_0": "a", "arg_1": {"until": ["\n"]}}},
    "resps": [["c"]],
    "filtered_resps": ["c"],
    "exact_match": 0.5,
    "filter": "none",
    "metrics": ["exact_match"],
}
NEW = ("filter", "metrics")


def write(folder, results=RESULTS, sample=SAMPLE):
    folder.mkdir(exist_ok=True)
    stamp = "2025-01-01T00-00-00.000000"
    (folder / f"results_{stamp}.json").write_text(json.dumps(results), "utf-8")
    (folder / f"samples_t_{stamp}.jsonl").write_text(json.dumps(sample) + "\n", "utf-8")
    return folder


def test_samples_of_an_old_version_are_read_where_there_is_one_filter(tmp_path):
    old = {name: value for name, value in SAMPLE.items() if name not in NEW}
    results = {name: value for name, value in RESULTS.items() if name != "lm_eval_version"}
    log = import_results(write(tmp_path / "in", results, old), tmp_path / "out")
    assert [one.value for task in log.tasks for one in task.metrics.values()] == [0.5]
    assert "by lm-eval of unknown version" in log.notes[0]
    two = copy.deepcopy(results)
    two["results"]["t"]["exact_match,strict"] = 0.25
    with pytest.raises(UserError, match="does not state which of the filters none, strict"):
        import_results(write(tmp_path / "two", two, old), tmp_path / "out2")


@pytest.mark.parametrize(
    "more",
    [
        {"date": 1e30},
        {"date": "yesterday"},
        {"groups": {"g": {"exact_match,none": 1}}, "group_subtasks": {"g": ["h"], "h": ["g"]}},
        {"model_name": "half \ud800 a pair"},
        {"results": {"t": {"exact_match,none": float("nan")}}},
    ],
)
def test_odd_fields_are_imported_or_a_sentence(tmp_path, more):
    out = tmp_path / "out"
    with suppress(UserError):
        import_results(write(tmp_path / "in", RESULTS | more), out)
    if (out / "run.json").exists():
        assert read_run(out).tasks


NAN = float("nan")


@pytest.mark.parametrize(
    ("stated", "logged", "kept"),
    [
        ({"exact_match,none": NAN}, {}, False),
        ({}, {"exact_match": NAN}, False),
        ({"exact_match,none": float("inf")}, {"exact_match": float("-inf")}, False),
        ({"exact_match,strict": NAN}, {}, True),
        ({"exact_match,none": "N/A"}, {}, False),
    ],
)
def test_a_score_that_is_no_number_is_said_and_ends_with_code_1(
    tmp_path, monkeypatch, capsys, stated, logged, kept
):
    results = copy.deepcopy(RESULTS)
    results["results"]["t"] |= stated
    folder, out = write(tmp_path / "in", results, SAMPLE | logged), tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["evalsuite", "import-lm-eval", str(folder), "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    [task] = read_run(out).tasks
    assert (end.value.code, bool(task.metrics)) == (1, kept)
    assert task.problem
    assert task.problem in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(results=broken(RESULTS), sample=broken(SAMPLE), which=st.booleans())
def test_results_of_any_shape_are_imported_or_a_sentence(tmp_path_factory, results, sample, which):
    folder = tmp_path_factory.mktemp("odd")
    made = write(folder / "in", results if which else RESULTS, SAMPLE if which else sample)
    with suppress(UserError):
        import_results(made, folder / "out")
