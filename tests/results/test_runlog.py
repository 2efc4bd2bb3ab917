"""`run.json`: round trip, schema, and what is wrong with a damaged one."""

import copy
import json

import jsonschema
import pytest
from pydantic import ValidationError

from evalsuite.errors import StorageError
from evalsuite.results.runlog import MetricRecord, RunLog, read_run
from evalsuite.results.schema import FILE, schema_text
from tests.runs.bench import read_json


def test_what_is_written_is_read_back_equal(finished):
    bench, log = finished
    assert read_run(bench.out) == read_run(bench.out / "run.json") == log


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_metric_holds_numbers_alone(value):
    assert MetricRecord.of_finite(value=value, n=3) is None
    assert MetricRecord.of_finite(value=1.0, n=3, stderr=value, high=2.0) == MetricRecord(
        value=1.0, stderr=None, low=None, high=2.0, n=3
    )
    with pytest.raises(ValidationError):
        MetricRecord(value=value, stderr=None, low=None, high=None, n=3)


def test_the_schema_on_disk_is_what_make_schema_writes():
    assert FILE.read_text("utf-8") == schema_text(), "run `make schema`"


def test_a_real_run_log_fits_the_schema(finished):
    bench, _ = finished
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = read_json(bench.out / "run.json")
    validator.validate(document)
    for spoil in (
        lambda one: one.pop("spec"),
        lambda one: one.update(status="fine"),
        lambda one: one.update(extra=1),
        lambda one: one["tasks"][0]["metrics"]["acc"].update(value="high"),
    ):
        spoiled = copy.deepcopy(document)
        spoil(spoiled)
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(spoiled)


def test_the_log_says_what_ran_on_what(finished):
    _, log = finished
    assert (log.status, log.schema_version) == ("complete", 1)
    assert (log.model.weights_sha256, log.model.numerics) == ("0" * 64, "scripted")
    assert {"python", "torch", "transformers", "evalsuite"} <= log.environment.keys()
    quiz = log.task("quiz")
    assert (quiz.address, quiz.split, quiz.headline) == ("tiny/quiz:cloze@0", "test", "acc_norm")
    assert quiz.data["test"].rows == 16
    assert (quiz.counts.documents, quiz.counts.scored, quiz.requests) == (16, 16, 48)


def test_a_task_is_found_by_name_and_by_address(finished):
    _, log = finished
    assert log.task("quiz") is log.task("tiny/quiz:cloze@0")
    with pytest.raises(KeyError):
        log.task("mmlu")


def test_the_frame_has_a_row_for_each_metric(finished):
    _, log = finished
    frame = log.to_pandas()
    assert list(frame.columns) == ["model", "task", "metric", "value", "stderr", "low", "high", "n"]
    assert list(zip(frame.task, frame.metric, strict=True)) == [
        ("quiz", "acc_norm"),
        ("quiz", "acc"),
        ("pairs", "acc"),
        ("sums", "exact_match"),
    ]
    assert set(frame.value) == {13 / 16}
    assert list(RunLog.model_validate(log.model_dump() | {"tasks": ()}).to_pandas().columns) == list(
        frame.columns
    )


@pytest.mark.parametrize("damage", ["cut", "empty", "binary", "other version", "list"])
def test_a_damaged_run_log_is_one_sentence(finished, tmp_path, damage):
    bench, _log = finished
    text = (bench.out / "run.json").read_text("utf-8")
    damaged = {
        "cut": text[: len(text) // 2].encode(),
        "empty": b"",
        "binary": b"\xff\xfe\x00" * 9,
        "other version": text.replace('"schema_version": 1', '"schema_version": 2').encode(),
        "list": b"[]",
    }[damage]
    (tmp_path / "run.json").write_bytes(damaged)
    with pytest.raises(StorageError) as error:
        read_run(tmp_path)
    text = str(error.value)
    assert f"{tmp_path / 'run.json'} is not a run log of schema version 1" in text
    assert "\n" not in text


def test_a_run_log_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match=r"nowhere/run.json|nowhere cannot be read: No such file"):
        read_run(tmp_path / "nowhere")
