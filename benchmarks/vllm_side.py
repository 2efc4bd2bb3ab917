"""vLLM through lm-eval's backend, as people run it today, in a process of its own."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from hflm import Asking, answering

_answer: Any


class VllmSide:
    """A model with random weights in vLLM; vLLM's own process starts with the first call.

    Args:
        folder: a folder from `random_model.write_folder`; vLLM makes weights of its own ("dummy").
        dtype: data type of the weights.
        memory: share of the device's memory that vLLM may use, beside the other side's.
    """

    def __init__(self, folder: Path, dtype: str, memory: float) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, spawn, _begin, (str(folder), dtype, memory))

    def turn(self, askings: Sequence[Asking], preview: int) -> tuple[list[Any], float]:
        """The answers, and the seconds of all but the first `preview` answers, which warm up."""
        return self._process.submit(_turn, list(askings), preview).result()

    def close(self) -> None:
        """End vLLM, which frees its memory."""
        self._process.shutdown()


def _begin(folder: str, dtype: str, memory: float) -> None:
    global _answer
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    from lm_eval.models.vllm_causallms import VLLM

    model = VLLM(pretrained=folder, dtype=dtype, load_format="dummy", gpu_memory_utilization=memory)  # type: ignore[arg-type]
    _answer = answering(model)


def _turn(askings: Sequence[Asking], preview: int) -> tuple[list[Any], float]:
    _answer(askings[:preview])
    began = time.perf_counter()
    answers = _answer(askings)
    return answers, time.perf_counter() - began
