"""Cutting requests into parts that can be answered apart, by several processes or machines; numpy only."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np

from evalsuite.engine.planning.plan import PACK_COST, cheapest_runs, sort_inputs, sortable
from evalsuite.types import GenerateRequest, Request, ScoreRequest


def generation_parts(requests: Iterable[GenerateRequest], rows: int) -> list[tuple[GenerateRequest, ...]]:
    """Prompts next to each other in the tree of all prompts, cut where they share least; most work first.

    Args:
        requests: distinct ones.
        rows: requests of a part; a prompt that is asked more often is a part by itself.
    """
    asking: dict[bytes, list[GenerateRequest]] = {}
    for request in requests:
        asking.setdefault(sortable(request.context), []).append(request)
    inputs, keys = sort_inputs(asking)
    counts = np.array([len(asking[key]) for key in keys], np.int64)
    runs = cheapest_runs(counts, np.zeros_like(counts), inputs.shared + PACK_COST, rows)
    order = attrgetter("context", "stop", "max_tokens", "temperature", "top_p", "seed", "sample")
    parts = [tuple(sorted((one for index in run for one in asking[keys[index]]), key=order)) for run in runs]
    return sorted(parts, key=lambda part: (-tokens_of(part), part[0].context))


def tokens_of(part: Sequence[Request]) -> int:
    """Tokens that a part takes at most: each distinct one of its inputs once, and the texts at full
    length."""
    inputs, _ = sort_inputs({sortable(_input(one)) for one in part})
    return inputs.distinct + sum(one.max_tokens for one in part if isinstance(one, GenerateRequest))


def _input(request: Request) -> tuple[int, ...]:
    if isinstance(request, ScoreRequest):
        return (request.context + request.continuation)[:-1]
    return request.context
