"""Runs batches within memory: on out-of-memory, the batch and the size limit of later batches are halved."""

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch

RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")

ALLOCATOR_MESSAGES = ("out of memory", "can't allocate memory", "not enough memory")
"""Messages of allocators whose devices have no out-of-memory exception class (CPU, MPS)."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a device, or the machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in ALLOCATOR_MESSAGES)


def run_within_memory(
    batches: Iterable[tuple[RowT, ...]],
    run: Callable[[tuple[RowT, ...]], Iterator[ResultT]],
    size: Callable[[Sequence[RowT]], int],
    give_up: Callable[[RowT, str], ResultT],
    *,
    retry: bool = True,
    ahead: int = 0,
) -> Iterator[ResultT]:
    """Yield the results of `run` for each batch, and split batches that do not fit into memory.

    A batch that runs out of memory is run again as two halves (answers that it had already yielded are then
    yielded again), and later batches are split to half of its `size` before they run. A single row that does
    not fit is answered by `give_up(row, reason)`. Without `retry`, out-of-memory is raised.

    Up to `ahead` batches begin before the results of an earlier one are read: on a device that computes while
    the host goes on, `run` launches a batch when it is called, and its iterator waits for the results.
    """
    waiting = deque(batches)
    begun: deque[tuple[tuple[RowT, ...], Iterator[ResultT]]] = deque()
    capacity: int | None = None
    while waiting or begun:
        reading = len(begun) > ahead or not waiting
        batch, results = begun.popleft() if reading else (waiting.popleft(), None)
        if results is None and capacity is not None and len(batch) > 1 and size(batch) > capacity:
            waiting.extendleft(reversed(_halves(batch)))
            continue
        try:
            if results is None:
                begun.append((batch, run(batch)))
            else:
                yield from results
            continue
        except Exception as error:
            if not (retry and is_out_of_memory(error)):
                raise
            # Keep only the text: the error's traceback would keep the batch's tensors alive.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
        results = None
        free_memory()
        if len(batch) == 1:
            yield give_up(batch[0], f"out of memory: {reason}")
        else:
            capacity = size(batch) // 2
            waiting.extendleft(reversed(_halves(batch)))


def _halves(batch: tuple[RowT, ...]) -> tuple[tuple[RowT, ...], tuple[RowT, ...]]:
    return batch[: len(batch) // 2], batch[len(batch) // 2 :]


def free_memory() -> None:
    """Return memory that no tensor uses any more to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def free_bytes(device: str) -> int:
    """Free memory of the device; of the machine, for devices that share its memory."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return min(_free_on_machine(), _free_in_group())


def _free_on_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _free_in_group(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory left within the container's limit (cgroup v2); a huge number if there is no limit."""
    try:
        limit = (folder / "memory.max").read_text("ascii").strip()
        used = int((folder / "memory.current").read_text("ascii"))
        return max(0, int(limit) - used)
    except (OSError, ValueError):
        return 2**62
