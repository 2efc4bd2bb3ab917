import pytest

from evalsuite.engine.native.memory import _free_in_group, free_bytes
from evalsuite.engine.native.memory_estimate import Needs
from evalsuite.engine.native.sizes import DeviceMemory, sizes_beside_others
from evalsuite.engine.native.slots.capacity import SlotCapacity, capacity_for, slot_bytes
from evalsuite.engine.native.slots.forward import SlotModel
from evalsuite.engine.placement import CPU_BUDGET
from evalsuite.engine.planning.prefixes import plan_slots
from tests.engine.native.test_generate_batch import greedy
from tests.engine.tiny import loaded, tiny_hybrids, tiny_llama


def sizes_for(free):
    return sizes_beside_others(Needs(1000, 1, 1, 1), DeviceMemory(2**41, 1000 + free), CPU_BUDGET)


def test_a_slot_holds_keys_and_values_of_its_tokens_and_recurrent_states():
    llama = SlotModel.of(loaded(tiny_llama()))
    layers, heads, width, bytes_each = 2, 2, 8, 4
    assert slot_bytes(llama, 10) == 10 * 2 * layers * heads * width * bytes_each
    mamba2 = SlotModel.of(loaded(tiny_hybrids()["mamba2"].eval()))
    state, convolution = 8 * 8 * 16, (64 + 2 * 2 * 16) * 4
    assert slot_bytes(mamba2, 10) == slot_bytes(mamba2, 1000) == layers * (state + convolution) * bytes_each


@pytest.mark.parametrize(("free", "slots"), [(2**40, 32), (20 * 25600, 10), (25600, 1), (0, 1)])
def test_there_are_as_many_slots_as_half_of_the_free_memory_holds_within_the_budget(free, slots):
    model = SlotModel.of(loaded(tiny_llama()))
    prompts = plan_slots([greedy((5,) * 60, 40), greedy((6, 7), 10)])
    assert slot_bytes(model, 100) == 25600
    assert capacity_for(model, prompts, sizes_for(free), 128) == SlotCapacity(slots, 1024)


def test_room_is_halved_down_to_one():
    assert SlotCapacity(5, 100).halved() == SlotCapacity(2, 50)
    assert SlotCapacity(1, 1).halved() == SlotCapacity(1, 1)


def test_a_containers_limit_is_seen(tmp_path):
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert _free_in_group(tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert _free_in_group(tmp_path) > 2**50
    assert _free_in_group(tmp_path / "none") > 2**50
    assert 0 < free_bytes("cpu") < 2**50
