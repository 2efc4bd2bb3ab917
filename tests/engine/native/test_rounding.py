"""`logits_dtype="model"` against lm-eval's HFLM on the same hidden states: equal to the last bit."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.score_batch import score_batch
from evalsuite.engine.native.score_packed import score_run
from evalsuite.engine.planning.batches import score_rows
from evalsuite.engine.planning.plan import plan_packs
from evalsuite.engine.protocol import answers_in
from evalsuite.requests.encode import encode_pairs
from evalsuite.types import Score, ScoreRequest
from tests.engine.native.test_smollm2 import PAIRS
from tests.engine.tiny import VOCABULARY, byte_tokenizer, greedy_alone, tiny_gpt2, tiny_llama, tiny_nemotron_h

pytest.importorskip("lm_eval", reason="the package lm-eval is not installed")

DTYPES = [torch.bfloat16, torch.float16, torch.float32]
LONGEST = 20


def requests_of(model) -> list[ScoreRequest]:
    """Random tokens, and greedy ones, behind a single token: every position is read, so that the head sees
    one shape."""
    random = torch.Generator().manual_seed(3)
    first = (7,)
    greedy = tuple(greedy_alone(model, first, LONGEST))
    found = []
    for length in range(2, LONGEST + 1):
        others = torch.randint(2, VOCABULARY, (length,), generator=random).tolist()
        found += [ScoreRequest(first, tuple(others)), ScoreRequest(first, greedy[:length])]
    return found


def by_hflm(model, tokenizer, requests) -> list[tuple[float, bool]]:
    """One request at a time, without padding."""
    from lm_eval.models.huggingface import HFLM

    hflm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    found = []
    for one in requests:
        pair = (("", ""), [*one.context], [*one.continuation])
        found += hflm._loglikelihood_tokens([pair], disable_tqdm=True)
    return found


def in_batches(loaded, request) -> Score:
    [(_, score)] = score_batch(loaded, score_rows([request]))
    return score


def packed(loaded, request) -> Score:
    plan = plan_packs([request], 64)
    [(_, score)] = score_run(loaded, plan, plan.runs[0])
    return score


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("make", "way"),
    [(tiny_llama, in_batches), (tiny_llama, packed), (tiny_gpt2, packed), (tiny_nemotron_h, in_batches)],
)
def test_scores_are_those_of_hflm_to_the_last_bit(make, way, dtype):
    loaded = ready(make().to(dtype), "cpu", rounded_logits=True)
    requests = requests_of(loaded.model)
    ours = [way(loaded, one) for one in requests]
    theirs = by_hflm(loaded.model, byte_tokenizer(), requests)
    assert [(one.log_likelihood, one.is_greedy) for one in ours] == theirs
    assert {one.is_greedy for one in ours} == {True, False}


def test_of_two_words_that_tie_the_first_is_greedy_as_in_hflm():
    model = tiny_llama().to(torch.bfloat16)
    with torch.no_grad():
        model.lm_head.weight[1::2] = model.lm_head.weight[::2]
    [best] = greedy_alone(model, (7,), 1)
    requests = [ScoreRequest((7,), (token,)) for token in (best, best + 1)]
    loaded = ready(model, "cpu", rounded_logits=True)
    ours = [packed(loaded, one) for one in requests]
    assert [(one.log_likelihood, one.is_greedy) for one in ours] == by_hflm(model, byte_tokenizer(), requests)
    assert [one.is_greedy for one in ours] == [True, False]
    assert ours[0].log_likelihood == ours[1].log_likelihood


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_so_are_those_of_a_real_model_as_transformers_loads_it(smollm2, dtype):
    files = smollm2.files
    plain = AutoModelForCausalLM.from_pretrained(
        files.folder, gguf_file=files.gguf_file, dtype=getattr(torch, dtype), local_files_only=True
    )
    engine = TransformersEngine(files, dtype=dtype, device="cpu", logits_dtype="model", packed=False)
    requests = [one.request for one in encode_pairs(engine.tokenizer, PAIRS, "never")]
    ours = [answer for one in requests for _, answer in answers_in(engine.score([one]))]
    theirs = by_hflm(plain.eval(), engine.tokenizer._tokenizer, requests)
    assert [(one.log_likelihood, one.is_greedy) for one in ours] == theirs
