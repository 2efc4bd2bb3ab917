import pytest
import torch

from evalsuite.engine.native.memory import is_out_of_memory, run_within_memory


def run_with_room(room, batches, lost=()):
    """Run batches of numbers on a device that holds `room` rows; numbers in `lost` never fit."""
    tried = []

    def run(batch):
        tried.append(batch)
        if len(batch) > room or set(batch) & set(lost):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
        yield list(batch)

    results = list(run_within_memory(batches, run, len, lambda row, reason: [(row, reason)]))
    return [one for result in results for one in result], tried


def test_batches_that_fit_run_once_in_order():
    assert run_with_room(4, [(1, 2, 3), (4,)]) == ([1, 2, 3, 4], [(1, 2, 3), (4,)])


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_keeps_its_order():
    assert run_with_room(1, [(1, 2, 3, 4)])[0] == [1, 2, 3, 4]


def test_later_batches_are_split_before_they_are_tried():
    _, tried = run_with_room(2, [(1, 2, 3, 4), (5, 6, 7, 8)])
    assert tried == [(1, 2, 3, 4), (1, 2), (3, 4), (5, 6), (7, 8)]


def test_a_single_row_that_does_not_fit_fails_alone():
    results, _ = run_with_room(4, [(1, 2, 3)], lost={2})
    assert results == [1, (2, "out of memory: CUDA out of memory. Tried to allocate 2 GiB."), 3]


def test_other_errors_are_not_swallowed():
    def run(batch):
        raise RuntimeError("shape mismatch")
        yield

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(run_within_memory([(1, 2)], run, len, lambda row, reason: None))


def test_what_was_yielded_before_memory_ran_out_is_kept():
    def run(batch):
        yield batch[0]
        if len(batch) > 1:
            raise MemoryError

    assert list(run_within_memory([(1, 2)], run, len, lambda row, reason: None)) == [1, 1, 2]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you "
            "tried"
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        MemoryError(),
    ],
)
def test_every_device_has_its_own_words_for_no_memory(error):
    assert is_out_of_memory(error)


def test_an_error_of_another_kind_is_not_out_of_memory():
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_without_a_second_try_a_lack_of_memory_is_an_error():
    def run(batch):
        raise MemoryError("full")
        yield

    with pytest.raises(MemoryError, match="full"):
        list(run_within_memory([(1, 2)], run, len, lambda row, reason: None, retry=False))
