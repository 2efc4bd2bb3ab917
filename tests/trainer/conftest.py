"""A tiny bench with tasks of every kind, and evaluators for it."""

import pytest
import torch

from evalsuite import Evaluator
from tests.engine.tiny import byte_tokenizer
from tests.runs.bench import ADDRESSES, Bench


@pytest.fixture
def bench(tmp_path) -> Bench:
    torch.set_num_threads(1)
    return Bench.make(tmp_path, documents=8)


@pytest.fixture
def evaluator_of(bench):
    """Makes an evaluator with the bench's data and tasks."""

    def make(tasks=ADDRESSES, tokenizer=None, **options) -> Evaluator:
        return Evaluator(
            tasks, tokenizer or byte_tokenizer(), data=bench.data, include=[bench.plugin], **options
        )

    return make
