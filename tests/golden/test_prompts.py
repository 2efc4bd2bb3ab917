"""Our prompts are the reference implementations', byte for byte, and so are their draws."""

import hashlib
import json
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from evalsuite.runs.dump import hash_row
from tests.golden.golden import GOLDEN, SHARED, needs_golden

pytestmark = needs_golden

ADDRESSES = {
    "nemotron_h/adlr_arc_challenge_llama@25": "nemotron_h/arc_challenge",
    "nemotron_h/adlr_gsm8k_fewshot_cot@8": "nemotron_h/gsm8k",
    "nemotron_h/adlr_humaneval_greedy@0": "nemotron_h/humaneval",
    "nemotron_h/adlr_humanevalplus_greedy@0": "nemotron_h/humaneval_plus",
    "nemotron_h/adlr_mbpp_sanitized_3shot_greedy@3": "nemotron_h/mbpp",
    "nemotron_h/adlr_mbppplus_greedy_sanitized@0": "nemotron_h/mbpp_plus",
    "nemotron_h/adlr_minerva_math_nemo@4": "nemotron_h/math",
    "nemotron_h/adlr_mmlu_pro_5_shot_base@5": "nemotron_h/mmlu_pro",
    "nemotron_h/commonsense_qa@7": "nemotron_h/commonsense_qa",
    "nemotron_h/hellaswag@10": "nemotron_h/hellaswag",
    "nemotron_h/mmlu@5": "nemotron_h/mmlu",
    "nemotron_h/mmlu_str@5": "nemotron_h/mmlu_generate",
    "nemotron_h/winogrande@5": "nemotron_h/winogrande",
    "lm_eval/arc_challenge@0": "lm_eval/arc_challenge",
    "lm_eval/arc_challenge@5": "lm_eval/arc_challenge@5",
    "lm_eval/arc_challenge@25": "lm_eval/arc_challenge@25",
    "lm_eval/arc_easy@0": "lm_eval/arc_easy",
    "lm_eval/boolq@0": "lm_eval/boolq",
    "lm_eval/commonsense_qa@0": "lm_eval/commonsense_qa",
    "lm_eval/commonsense_qa@7": "lm_eval/commonsense_qa@7",
    "lm_eval/gsm8k@5": "lm_eval/gsm8k",
    "lm_eval/gsm8k_cot@8": "lm_eval/gsm8k_cot",
    "lm_eval/hellaswag@0": "lm_eval/hellaswag",
    "lm_eval/hellaswag@10": "lm_eval/hellaswag@10",
    "lm_eval/hendrycks_math500@0": "lm_eval/hendrycks_math500",
    "lm_eval/humaneval@0": "lm_eval/humaneval",
    "lm_eval/humaneval_plus@0": "lm_eval/humaneval_plus",
    "lm_eval/lambada_openai@0": "lm_eval/lambada_openai",
    "lm_eval/mbpp@3": "lm_eval/mbpp",
    "lm_eval/mbpp_plus@3": "lm_eval/mbpp_plus",
    "lm_eval/minerva_math@4": "lm_eval/minerva_math",
    "lm_eval/minerva_math500@4": "lm_eval/minerva_math500",
    "lm_eval/mmlu@0": "lm_eval/mmlu",
    "lm_eval/mmlu@5": "lm_eval/mmlu@5",
    "lm_eval/mmlu_pro@5": "lm_eval/mmlu_pro",
    "lm_eval/nq_open_validation@0": "lm_eval/nq_open",
    "lm_eval/openbookqa@0": "lm_eval/openbookqa",
    "lm_eval/piqa@0": "lm_eval/piqa",
    "lm_eval/sciq_validation@0": "lm_eval/sciq",
    "lm_eval/triviaqa_wiki_validation@0": "lm_eval/triviaqa",
    "lm_eval/tydiqa_goldp@0": "lm_eval/tydiqa_goldp",
    "lm_eval/tydiqa_goldp_en@1": "lm_eval/tydiqa_goldp_en@1",
    "lm_eval/tydiqa_goldp_ko@1": "lm_eval/tydiqa_goldp_ko@1",
    "lm_eval/tydiqa_goldp_sw@1": "lm_eval/tydiqa_goldp_sw@1",
    "lm_eval/webqs@0": "lm_eval/webqs",
    "lm_eval/winogrande@0": "lm_eval/winogrande",
    "lm_eval/winogrande@5": "lm_eval/winogrande@5",
}
"""Golden file -> the address that must reproduce it. No shots are given where the spec's must be right."""
MEMBERS = {
    "nemotron_h/adlr_minerva_math_nemo@4": "adlr_minerva_math_{}_nemo",
    "nemotron_h/adlr_mmlu_pro_5_shot_base@5": "adlr_mmlu_pro_5_shot_base_{}",
    "nemotron_h/mmlu_str@5": "mmlu_str_{}",
}
"""What the reference calls member tasks, where it has another name for the task."""


class Case(NamedTuple):
    name: str
    prepared: PreparedTask
    ours: list[dict]
    """The documents of which the golden file has the hashes."""
    golden: list[dict]


@pytest.fixture(scope="module", params=ADDRESSES)
def case(request) -> Case:
    [selected] = Registry.load().select([ADDRESSES[request.param]])
    split = "validation" if "_validation@" in request.param else None
    prepared = prepare(selected, data_dir=SHARED, split=split)
    golden = pq.read_table(GOLDEN / "prompts" / f"{request.param}.parquet").to_pylist()
    places = {}  # by member task; MMLU-Pro's split is mixed
    for place, document in enumerate(prepared.documents):
        subtask = MEMBERS.get(request.param, document.subtask).format(document.member)
        places[subtask, document.subtask_index] = place
    public = []
    for row in golden:
        place = places[row["subtask"], row["doc"]]
        found = hash_row(prepared, prepared.documents[place], prepared.prompts[place])
        public.append(found | {"subtask": row["subtask"]})
    return Case(request.param, prepared, public, golden)


def in_index(name: str) -> dict:
    files = json.loads((GOLDEN / "prompts" / "index.json").read_text("utf-8"))["files"]
    return next(entry for entry in files if entry["file"] == f"{name}.parquet")


def comparable(ours: dict, golden: dict) -> dict:
    """Our row without its gold answer, where the reference has none."""
    return ours | {"gold": None} if golden["gold"] is None else ours


def test_every_public_document_equals_the_reference_in_every_column(case):
    assert len(case.ours) == len(case.golden)
    pairs = zip(case.ours, case.golden, strict=True)
    differing = [(ours, golden) for ours, golden in pairs if comparable(ours, golden) != golden]
    assert not differing, f"{len(differing)} of {len(case.golden)} differ, the first: {differing[0]}"


def test_contexts_and_counts_equal_the_index(case):
    entry = in_index(case.name)
    digest = hashlib.sha256("\n".join(row["context_sha256"] for row in case.ours).encode())
    assert digest.hexdigest() == entry["contexts_digest"]
    assert len(case.prepared.documents) == entry["n_docs_total"]
    requests = sum(len(prompt.pairs) or 1 for prompt in case.prepared.prompts)
    assert requests == entry["n_requests_total"]
    assert case.prepared.split == entry["eval_split"]


def test_the_first_draws_are_those_of_the_reference(case):
    draws = json.loads((GOLDEN / "prompts" / "fewshot_draws.json").read_text("utf-8"))
    shots = case.prepared.selected.spec.shots
    seeded = shots.count > 0 and shots.draw == "seeded"
    assert (case.name in draws) == (seeded and "tydiqa" not in case.name)
    if case.name not in draws:
        return
    draw = draws[case.name]
    pool = case.prepared.data[shots.split].rows
    assert len(pool) == draw["pool_rows"]
    for document, places in enumerate(draw["first_docs"]):
        assert case.prepared.shots[document] == [pool[place] for place in places[: draw["used"]]]


def test_every_golden_file_is_compared():
    files = (GOLDEN / "prompts").glob("*/*@*.parquet")
    assert {f"{file.parent.name}/{file.stem}" for file in files} == set(ADDRESSES)


def test_rows_from_a_stand_in_are_named_in_the_notes(case):
    stands_in = "hellaswag@10" in case.name or "triviaqa" in case.name
    assert any(note.startswith("Stand-in") for note in case.prepared.notes) == stands_in
