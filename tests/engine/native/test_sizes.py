"""Sizes are decided once, from the memory before loading and from configurations alone."""

import pytest

from evalsuite.checkpoints import resolve
from evalsuite.engine.native import memory
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.memory_estimate import Needs, needs_by_config
from evalsuite.engine.native.sizes import MOST_SLOTS, MOST_TOKENS, DeviceMemory, sizes_on_gpu
from evalsuite.engine.native.slot_estimate import SlotNeeds, slot_needs
from evalsuite.engine.placement import CPU_BUDGET, GPU_BUDGET
from evalsuite.errors import ModelError
from tests.engine.native.facts import FACTS, GB
from tests.engine.tiny import save, tiny_llama

CONTEXT = 2**29
"""Bytes that CUDA's context takes of a GPU's memory before anything is asked for."""
OWN = 512
"""Tokens of a slot in the table: a question and its answer."""

TABLE = {
    # tokens of a pack, and slots of 512 tokens, on GPUs of 24, 40, 80 and 141 GB; None: it does not fit.
    "1B dense": ((16384, 512), (16384, 512), (16384, 512), (16384, 512)),
    "8B dense": ((16384, 49), (16384, 169), (16384, 471), (16384, 512)),
    "32B dense": (None, None, (16384, 33), (16384, 263)),
    "8B hybrid": ((8192, 29), (16384, 102), (16384, 284), (16384, 512)),
    "47B hybrid": (None, None, None, (16384, 25)),
    "56B hybrid": (None, None, None, (16384, 10)),
}


def sizes_of(name, gigabytes, devices=1, budget=GPU_BUDGET):
    facts = FACTS[name]
    total = gigabytes * GB
    needs = needs_by_config(facts.config, facts.weights, "bfloat16")
    memory = DeviceMemory(total * devices, (total - CONTEXT) * devices, devices)
    return sizes_on_gpu(needs, slot_needs(facts.config, "bfloat16"), memory, budget)


def cell(name, gigabytes):
    sizes = sizes_of(name, gigabytes)
    if sizes.problem:
        return None
    return sizes.pack_tokens, sizes.slots(slot_needs(FACTS[name].config, "bfloat16").of(OWN))


@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_sizes(name):
    cells = tuple(cell(name, gigabytes) for gigabytes in (24, 40, 80, 141))
    assert cells == TABLE[name]
    assert all(tokens >= 4096 for tokens, _ in filter(None, cells))


def test_a_model_that_does_not_fit_is_told_in_words():
    assert sizes_of("47B hybrid", 80).problem == (
        "its weights need 87.2 GiB and a forward pass 1.0 GiB, and 68.5 GiB of memory are usable"
    )
    assert sizes_of("32B dense", 141).problem == ""


@pytest.mark.parametrize(("name", "devices"), [("47B hybrid", 2), ("56B hybrid", 2), ("32B dense", 4)])
def test_layers_over_several_gpus_leave_memory_on_each(name, devices):
    """A pass runs on one GPU after the other; a row's slot is divided among them."""
    gigabytes = 24 if name.startswith("32B") else 80
    sizes, single = sizes_of(name, gigabytes, devices), sizes_of(name, gigabytes)
    assert single.problem
    assert not sizes.problem
    assert sizes.pack_tokens >= 4096
    assert sizes.slots(slot_needs(FACTS[name].config, "bfloat16").of(OWN)) > 8


def test_no_share_of_the_memory_is_given_away_twice():
    """A pass and its logits, or slots with a pass over prompts, fit beside the weights on every GPU."""
    for name, facts in FACTS.items():
        needs = needs_by_config(facts.config, facts.weights, "bfloat16")
        for gigabytes in (24, 40, 80, 141):
            sizes, usable = sizes_of(name, gigabytes), 0.92 * gigabytes * GB
            if not sizes.problem:
                scoring = needs.on_gpu(sizes.pack_tokens, sizes.positions_per_chunk)
                writing = needs.prefill(sizes.prefill_positions, sizes.batches.rows) + sizes.slot_memory
                assert facts.weights + max(scoring, writing) < usable


def test_padded_batches_shrink_with_the_memory_and_never_exceed_the_ample_ones():
    ample, tight = sizes_of("8B dense", 141).batches, sizes_of("8B dense", 24).batches
    assert ample == GPU_BUDGET
    assert tight.cached_tokens < ample.cached_tokens
    assert 1 <= tight.rows <= ample.rows
    assert tight.logits <= ample.logits


@pytest.fixture(scope="module")
def llama_files(tmp_path_factory):
    return resolve(str(save(tiny_llama(), tmp_path_factory.mktemp("llama"))))


class Shrinking:
    """Memory that seems to get less each time it is looked at, as while weights are loaded."""

    def __init__(self, *free):
        self.free = list(free)

    def __call__(self, device):
        return self.free.pop(0) if len(self.free) > 1 else self.free[0]


def test_sizes_do_not_depend_on_whether_loading_has_begun(llama_files, monkeypatch):
    needs = TransformersEngine(llama_files, device="cpu").model.needs
    ample = needs.weights + 2 * needs.activations(5000)
    monkeypatch.setattr(memory, "free_bytes", lambda device: ample)
    before = TransformersEngine(llama_files, device="cpu").limits.sizes
    assert before.pack_tokens == 4096
    monkeypatch.setattr(memory, "free_bytes", Shrinking(ample, 0))
    engine = TransformersEngine(llama_files, device="cpu")
    engine.begin_loading()
    assert engine.limits.sizes == before
    engine.load()
    monkeypatch.setattr(memory, "free_bytes", Shrinking(ample, 0))
    engine = TransformersEngine(llama_files, device="cpu")
    engine.load()
    assert engine.limits.sizes == before


@pytest.mark.parametrize("free", [2**40, 0])
def test_on_a_cpu_only_the_pack_and_the_slots_depend_on_the_memory(llama_files, monkeypatch, free):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    sizes = TransformersEngine(llama_files, device="cpu").limits.sizes
    assert sizes.pack_tokens == (MOST_TOKENS if free else 512)
    assert (sizes.prefill_positions, sizes.most_slots) == (CPU_BUDGET.tokens, CPU_BUDGET.rows)
    assert sizes.positions_per_chunk == 256
    assert sizes.batches == CPU_BUDGET


def test_a_given_budget_is_the_size_of_packs_and_of_passes_over_prompts(llama_files):
    sizes = TransformersEngine(llama_files, device="cpu", token_budget=40).limits.sizes
    assert (sizes.pack_tokens, sizes.prefill_positions) == (40, 40)


def test_weights_larger_than_the_whole_gpu_are_refused_before_they_are_read(llama_files):
    engine = TransformersEngine(llama_files, dtype="bfloat16", device="cuda:0")
    engine.model.device = "cuda:0"
    engine.model.memory = DeviceMemory(total=20_000, free=20_000)
    with pytest.raises(ModelError, match=r"does not fit on cuda:0: its weights need 0\.0 GiB in bfloat16"):
        engine.model._refuse_if_too_large()
    engine.model.memory = DeviceMemory(total=GB, free=20_000)
    engine.model._refuse_if_too_large()


def test_slots_without_states_or_keys_are_as_many_as_are_useful():
    sizes = sizes_on_gpu(Needs(0, 1, 1, 1), SlotNeeds(0, 0), DeviceMemory(GB, GB), GPU_BUDGET)
    assert sizes.slots(0) == MOST_SLOTS
    assert sizes.slots(10**12) == 1
