"""Which model inputs are computed together, so that what they share is computed once; numpy only.

Distinct inputs in the lexicographic order of their token ids are the leaves of a radix tree, left to right,
and the length of the prefix that each shares with the one before says all that a plan needs of that tree: a
run of neighbours costs the length of its first input and what every other one adds. A pack is such a run.
Cutting the order into packs computes, at each cut, the shared prefix again; the cuts that cost least are
found exactly.
"""

import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.types import ScoreRequest, TokenIds

Ints = NDArray[np.int64]

PACK_COST = 64
"""What another forward pass costs besides its tokens, in tokens: of equally good cuts the fewest are made."""
COMPARED_AT_ONCE = 1 << 22
"""Tokens of neighbouring inputs that are compared in one step; bounds the memory."""

PackRange = tuple[int, ...]
"""Indices of the inputs of one pack, ascending."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Distinct token sequences in lexicographic order."""

    tokens: NDArray[np.uint32]
    """All of them, end to end."""
    starts: Ints
    """(n + 1,) where each begins in `tokens`, and the end of the last."""
    shared: Ints
    """(n,) tokens that each has in common with the one before; 0 for the first."""

    def __len__(self) -> int:
        return len(self.shared)

    @property
    def lengths(self) -> Ints:
        """(n,) tokens of each."""
        return np.diff(self.starts)

    @property
    def distinct(self) -> int:
        """Tokens of the whole tree."""
        return int(self.lengths.sum() - self.shared.sum())

    def of(self, index: int) -> NDArray[np.uint32]:
        """The ids of one input."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def shared_within(self, run: Sequence[int]) -> list[int]:
        """Tokens that each input of a run has in common with the run's one before; 0 for the first."""
        if len(run) < 2:
            return [0] * len(run)
        behind = np.array(run[:-1]) + 1
        return [0, *np.minimum.reduceat(self.shared[: run[-1] + 1], behind).tolist()]

    def tokens_of(self, run: Sequence[int]) -> int:
        """Tokens that computing a run takes."""
        return int(self.lengths[list(run)].sum()) - sum(self.shared_within(run))

    def between(self, first: int, last: int) -> "Inputs":
        """Those from `first` to before `last`, as a tree of their own."""
        shared = self.shared[first:last].copy()
        shared[:1] = 0
        return Inputs(self.tokens, self.starts[first : last + 1], shared)


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Packs for a set of scoring requests; a function of the set and the budget, not of the order."""

    inputs: Inputs
    requests: list[tuple[ScoreRequest, ...]]
    """By input: everything that is read from it. Its requests end together, one token behind the input."""
    runs: list[PackRange]
    """Most tokens first."""
    requested: int
    """Tokens of all requests, each computed by itself."""
    planned: int
    """Tokens of all packs."""


def plan_packs(requests: Iterable[ScoreRequest], budget: int, most: int | None = None) -> ScorePlan:
    """Lay the distinct `requests` on one tree and cut it into packs of at most `budget` tokens.

    Only an input that is longer by itself is over the budget, alone in its pack. A pack's requests planned by
    themselves, within the same budget or a larger one, give the same pack.

    Args:
        requests: what is to be scored.
        budget: tokens of a pack.
        most: tokens of a pack where memory is ample. The tree is cut so first, and each piece then within
            `budget`: a piece's requests planned by themselves give the piece's packs, whatever the budget.
    """
    reading: dict[bytes, list[ScoreRequest]] = {}
    contexts: dict[TokenIds, bytes] = {}
    requested = 0
    for request in requests:
        context = contexts.get(request.context) or contexts.setdefault(
            request.context, sortable(request.context)
        )
        reading.setdefault(context + sortable(request.continuation[:-1]), []).append(request)
        requested += len(request.context) + len(request.continuation) - 1
    inputs, keys = sort_inputs(reading)
    pieces = [(run[0], run[-1] + 1) for run in cut_into_runs(inputs, max(budget, most or 0))]
    runs = [
        tuple(first + index for index in run)
        for first, last in pieces
        for run in cut_into_runs(inputs.between(first, last), budget)
    ]
    return ScorePlan(
        inputs,
        [
            tuple(sorted(reading[key], key=lambda request: (len(request.context), request.continuation)))
            for key in keys
        ],
        sorted(runs, key=lambda run: (-inputs.tokens_of(run), run[0])),
        requested,
        sum(map(inputs.tokens_of, runs)),
    )


def sortable(ids: TokenIds) -> bytes:
    """Token ids as bytes that compare as the ids do: four each, the highest first."""
    packed = array("I", ids)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def sort_inputs(keys: Iterable[bytes]) -> tuple[Inputs, list[bytes]]:
    """The tree of distinct `sortable` inputs, and the keys in its order."""
    ordered = sorted(keys)
    tokens = np.frombuffer(b"".join(ordered), dtype=">u4").astype(np.uint32)
    lengths = np.fromiter(map(len, ordered), np.int64, len(ordered)) // 4
    starts = np.concatenate([[0], lengths.cumsum()])
    return Inputs(tokens, starts, _shared_prefixes(tokens, starts)), ordered


def _shared_prefixes(tokens: NDArray[np.uint32], starts: Ints) -> Ints:
    lengths = np.diff(starts)
    shared = np.zeros(len(lengths), np.int64)
    comparable = np.minimum(lengths[1:], lengths[:-1])
    for first, last in _steps(comparable):
        compared = comparable[first:last]
        ends = compared.cumsum()
        within = np.arange(ends[-1]) - np.repeat(ends - compared, compared)
        left = np.repeat(starts[first:last], compared) + within
        right = np.repeat(starts[first + 1 : last + 1], compared) + within
        differing = np.flatnonzero(tokens[left] != tokens[right])
        pairs, earliest = np.unique(np.searchsorted(ends, differing, side="right"), return_index=True)
        shared[first + 1 : last + 1] = compared
        shared[first + 1 + pairs] = within[differing[earliest]]
    return shared


def _steps(sizes: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of `sizes` that sum to about `COMPARED_AT_ONCE` each."""
    step = np.concatenate([[0], sizes]).cumsum() // COMPARED_AT_ONCE
    edges = [0, *(np.flatnonzero(np.diff(step)) + 1).tolist(), len(sizes)]
    yield from ((first, last) for first, last in pairwise(edges) if last > first)


def cut_into_runs(inputs: Inputs, budget: int) -> list[PackRange]:
    """The cuts that compute the fewest tokens in all, in runs of at most `budget` tokens each."""
    return cheapest_runs(inputs.lengths - inputs.shared, inputs.shared, inputs.shared + PACK_COST, budget)


def cheapest_runs(adds: Ints, repeats: Ints, cost: Ints, budget: int) -> list[PackRange]:
    """The cuts of a row that cost least, in runs of at most `budget`; of equally good cuts the fewest.

    A run [first, last) has the size sum(adds[first:last]) + repeats[first] and costs cost[first]. The size
    falls as `first` rises, so the beginnings that fit the budget are a window that moves to the right as
    `last` does: dynamic programming over it. One that is over the budget by itself is a run of its own.

    Args:
        adds: (n,) what each adds to the run that it is in.
        repeats: (n,) what it adds besides where it is the first; at most `adds + repeats` of the one before.
        cost: (n,) of beginning a run with it; above 0.
        budget: size of a run.
    """
    total = np.concatenate([[0], adds.cumsum()])
    earliest = np.searchsorted(total[:-1] - repeats, total[1:] - budget).tolist()
    repeated = cost.tolist()
    spent, begins = 0, []
    window: deque[tuple[int, int]] = deque()
    for index in range(len(adds)):
        beginning = spent + repeated[index]
        while window and window[-1][0] > beginning:
            window.pop()
        window.append((beginning, index))
        while len(window) > 1 and window[0][1] < earliest[index]:
            window.popleft()
        spent, begin = window[0]  # the newest is never dropped: an input over the budget is alone
        begins.append(begin)
    return _followed_back(begins)


def _followed_back(begins: Sequence[int]) -> list[PackRange]:
    runs: list[PackRange] = []
    end = len(begins)
    while end:
        runs.append(tuple(range(begins[end - 1], end)))
        end = begins[end - 1]
    return runs[::-1]


def without(plan: ScorePlan, answered: Any) -> tuple[list[PackRange], int]:
    """Runs of the inputs that have a request outside of `answered`, and their tokens.

    A pack that is answered in full falls away and one that is not at all stays as it is, so that a resumed
    run computes the same packs as an uninterrupted one.
    """
    open_inputs = [any(one not in answered for one in requests) for requests in plan.requests]
    runs = [tuple(index for index in run if open_inputs[index]) for run in plan.runs]
    kept = [run for run in runs if run]
    return kept, sum(map(plan.inputs.tokens_of, kept))
