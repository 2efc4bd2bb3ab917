"""Cuts requests into parts that several processes or machines can answer independently; numpy only."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import numpy as np

from evalsuite.engine.planning.plan import PACK_COST, cheapest_runs, sort_inputs, sortable
from evalsuite.types import GenerateRequest, Request, ScoreRequest


def generation_parts(requests: Iterable[GenerateRequest], rows: int) -> list[tuple[GenerateRequest, ...]]:
    """Parts of neighbouring prompts in the tree of all prompts, cut where they share least; most work first.

    Args:
        requests: distinct requests.
        rows: most requests of a part; a prompt with more requests is a part by itself.
    """
    asking: dict[bytes, list[GenerateRequest]] = {}
    for request in requests:
        asking.setdefault(sortable(request.context), []).append(request)
    inputs, keys = sort_inputs(asking)
    counts = np.array([len(asking[key]) for key in keys], np.int64)
    runs = cheapest_runs(counts, np.zeros_like(counts), inputs.shared + PACK_COST, rows)
    order = attrgetter("context", "stop", "max_tokens", "temperature", "top_p", "seed", "sample")
    parts = [
        tuple(sorted((request for index in run for request in asking[keys[index]]), key=order))
        for run in runs
    ]
    return sorted(parts, key=lambda part: (-tokens_of(part), part[0].context))


def tokens_of(part: Sequence[Request]) -> int:
    """Upper bound of a part's tokens: its prompts, shared prefixes once, and its answers at full length."""
    inputs, _ = sort_inputs({sortable(_input(request)) for request in part})
    return inputs.distinct + sum(
        request.max_tokens for request in part if isinstance(request, GenerateRequest)
    )


def _input(request: Request) -> tuple[int, ...]:
    if isinstance(request, ScoreRequest):
        return (request.context + request.continuation)[:-1]
    return request.context


def dealt(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Distribute indices of `sizes` to `count` lists, largest size first, each to the smallest list so far.

    Returns the lists by falling total size.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        least = min(range(count), key=lambda share: (loads[share], share))
        shares[least].append(index)
        loads[least] += sizes[index]
    return [shares[share] for share in sorted(range(count), key=lambda share: (-loads[share], share))]
