"""Attention over slots with paged keys, with a stand-in for the one kernel that a CPU has not.

Everything but the kernel is the code that a GPU runs: the stand-in computes what torch's documentation of
`varlen_attn` promises, reads nothing else, and checks what the kernel asks for.
"""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import varlen

from evalsuite.engine.native import paths
from evalsuite.engine.native.paths import PLAIN, Candidate
from evalsuite.engine.native.slots import paged
from evalsuite.engine.native.slots.cache import SlotCache
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.fit import fit_for_slots, largest_difference
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.graphs import WANTED, RecordedStep
from evalsuite.engine.native.slots.reserved import Reserved
from evalsuite.engine.native.trials.fit import fit
from tests.engine.native.decoders import DECODERS
from tests.engine.native.slots.recording import graphing
from tests.engine.native.slots.test_graphs import OTHER_SHOTS, answers_of
from tests.engine.native.slots.test_models import HYBRIDS
from tests.engine.native.slots.test_slots import QUESTIONS, SHOTS
from tests.engine.native.test_generate_batch import greedy
from tests.engine.native.trees import varlen_plain
from tests.engine.tiny import loaded, tiny_llama
from tests.engine.watching import Watching

MODELS = {
    **{name: DECODERS[name] for name in ("llama", "gpt2, learned positions", "qwen3", "gemma3, window")},
    **{name: HYBRIDS[name] for name in ("nemotron_h", "bamba", "qwen3_next")},
}
PRODUCTS = {
    name: DECODERS[name]
    for name in ("gpt_oss, sinks and window", "gemma2, window and soft caps", "mistral, window")
}
"""Models whose layers the kernel does not compute."""


class Kernel:
    """`torch.nn.attention.varlen.varlen_attn` (2.13) with paged keys, from plain operations."""

    def __init__(self):
        self.calls = []
        self.off_by = 0
        """How many keys too few it reads."""

    def __call__(
        self,
        query,
        key,
        value,
        cu_seq_q,
        cu_seq_k,
        max_q,
        max_k,
        *,
        seqused_k=None,
        block_table=None,
        **options,
    ):
        self.calls.append(block_table is not None)
        if block_table is None:
            return varlen_plain.varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **options)
        assert cu_seq_k is None, "FlashAttention 3 takes a block table or edges"
        for part in (block_table, seqused_k, cu_seq_q):
            assert part.dtype == torch.int32
        assert block_table.stride(-1) == 1
        assert len(block_table) == len(seqused_k) == len(cu_seq_q) - 1
        assert cu_seq_q[-1] == len(query)
        assert seqused_k.max() <= max_k <= block_table.shape[1] * key.shape[1]
        result, logs = torch.full_like(query, torch.nan), torch.full((query.shape[1], len(query)), torch.inf)
        for row, (pages, used) in enumerate(zip(block_table.tolist(), seqused_k.tolist(), strict=True)):
            queries = slice(int(cu_seq_q[row]), int(cu_seq_q[row + 1]))
            if not used:
                continue  # undefined: a normaliser of infinity, as in FlashAttention 2
            used -= self.off_by
            keys, values = (
                torch.cat([part[page] for page in pages[: -(-used // part.shape[1])]])[:used]
                for part in (key, value)
            )
            edges = [torch.tensor([0, len(part)], dtype=torch.int32) for part in (query[queries], keys)]
            result[queries], logs[:, queries] = varlen_plain.varlen_attn(
                query[queries], keys, values, *edges, max_q, max_k, **options
            )
        return result, logs


@pytest.fixture(autouse=True)
def kernel(monkeypatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    monkeypatch.setattr(paged, "DEVICES", ("cpu",))
    monkeypatch.setattr(paged, "KERNEL_DTYPES", (torch.float32, torch.bfloat16))
    return kernel


def by_pages(make, dtype=torch.float32):
    ready = loaded(make().eval().to(dtype))
    return replace(ready, paths=PLAIN.using("slot_attention", "paged"))


@pytest.mark.parametrize("name", [*MODELS, *PRODUCTS])
def test_slots_agree_with_passes_without_a_cache(name, kernel):
    model = SlotModel.of(by_pages({**MODELS, **PRODUCTS}[name]))
    assert model.pages
    own = replace(model, loaded=replace(model.loaded, paths=PLAIN))
    assert largest_difference(model) <= largest_difference(own) + 2e-6
    assert set(kernel.calls) == ({True, False} if name in MODELS else set())


def test_half_precision_passes_the_trial(kernel):
    model, reason = fit_for_slots(by_pages(tiny_llama, torch.bfloat16))
    assert (reason, bool(model), bool(kernel.calls)) == ("", True, True)


@pytest.mark.parametrize("name", ["llama", "nemotron_h", "gemma3, window"])
def test_texts_are_those_of_matrix_products_also_in_captured_steps(name, kernel):
    make = MODELS[name]
    requests = [greedy((*SHOTS[:9], *question), 9 + at) for at, question in enumerate(QUESTIONS)]
    requests += [greedy((*OTHER_SHOTS[:7], *question), 12) for question in QUESTIONS[:3]]
    room, use = SlotCapacity(4, 64), graphing()
    expected = answers_of(loaded(make().eval()), requests, room)
    assert not kernel.calls
    assert answers_of(by_pages(make), requests, room) == expected
    assert answers_of(by_pages(make), requests, room, use) == expected
    assert kernel.calls
    assert use.replayed
    assert use.refused == ""


def test_rows_of_several_prefixes_and_of_none_share_a_captured_step(kernel):
    model, use = SlotModel.of(by_pages(tiny_llama)), graphing()
    slots, plain = Slots(model, 6, use, Reserved(200, 400)), Slots(model, 6)
    products = Slots(SlotModel.of(loaded(tiny_llama())), 6)
    with torch.inference_mode():
        for one in (slots, plain, products):
            for ids in (tuple(range(20, 190)), OTHER_SHOTS, ()):
                one.prefill(one.model.prefix(ids), [(9, 8, 7)])
        kernel.calls.clear()
        for at in range(WANTED + 4):
            tokens = torch.arange(3) + at
            expected = products.decode(tokens)
            assert torch.allclose(slots.decode(tokens), expected, atol=1e-4)
            assert torch.allclose(plain.decode(tokens), expected, atol=1e-4)
    assert use.replayed == 3
    assert True in kernel.calls


def test_around_the_kernel_a_captured_step_takes_nothing_from_the_host(monkeypatch):
    monkeypatch.setattr(
        varlen, "varlen_attn", lambda query, *_, **__: (query * 2, query[..., 0].T.float().contiguous())
    )
    slots = Slots(SlotModel.of(by_pages(tiny_llama)), 4, graphing(), Reserved(128, 128))
    with torch.inference_mode():
        slots.prefill(slots.model.prefix(SHOTS), [(9, 8), (7,)])
        slots.prefill(slots.model.prefix(()), [(7,)])
        rows = slots._current_positions()
        tokens = torch.zeros(3, 2, dtype=torch.long)
        step = RecordedStep(tokens, tokens, rows.starts, 128, pooled=rows.pooled)
        with Watching() as watching:
            slots._run_step(step)
    assert len(watching.operations) > 20
    assert not watching.forbidden


def test_a_page_is_a_view_of_what_a_slot_stores():
    cache = SlotCache(SlotModel.of(loaded(tiny_llama())).like, 3)
    cache.reserve(300)
    part = cache.layers[0].keys
    part.normal_()
    pages = paged._pages(part)
    assert pages.data_ptr() == part.data_ptr()
    heads, capacity = part.shape[1:3]
    for slot in range(3):
        for block in range(capacity // paged.PAGE):
            page = pages[slot * heads * capacity // paged.PAGE + block]
            tokens = slice(block * paged.PAGE, (block + 1) * paged.PAGE)
            assert torch.equal(page, part[slot, :, tokens].transpose(0, 1))


def test_a_wrong_kernel_is_found_by_the_trial_and_this_part_alone_falls_back(monkeypatch, kernel):
    monkeypatch.setitem(paths.CANDIDATES, "slot_attention", (Candidate("paged", lambda device, dtype: ""),))
    right = fit(by_pages(tiny_llama), "", asked=False)
    assert right.slots.loaded.paths.slot_attention == "paged"
    kernel.off_by = 1
    wrong = fit(by_pages(tiny_llama), "", asked=False)
    assert wrong.slots.loaded.paths == PLAIN
    assert "attention over slots: computed by torch, not by paged (with slots its logits are off" in (
        wrong.forms.path_notes
    )


def test_without_flash_attention_3_pages_are_not_tried(monkeypatch):
    monkeypatch.setattr(paged, "DEVICES", ("cuda",))
    assert paged.pages_unsupported_reason("cpu", "bfloat16") == "only for GPUs"
    assert paged.pages_unsupported_reason("cuda", "float64") == "it has no kernel for float64"
    if paged.takes("block_table"):
        assert "FlashAttention 3, which is not activated" in paged.pages_unsupported_reason(
            "cuda:1", "bfloat16"
        )
