"""Plans which model inputs are computed together, so that shared prefixes are computed once; numpy only.

Distinct inputs, sorted lexicographically by token ids, are the leaves of a radix tree from left to right. A
plan needs to know only how long a prefix each input shares with its predecessor: a run of neighbours costs
the length of its first input plus the unshared tokens of every other input. A pack is such a run. Each cut
between packs computes a shared prefix again; the cheapest cuts are found exactly.
"""

import sys
from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evalsuite.types import ScoreRequest, TokenIds

Ints = NDArray[np.int64]

PACK_COST = 64
"""Fixed cost of another forward pass, in tokens; among equally cheap plans, fewest cuts win."""
COMPARED_AT_ONCE = 1 << 22
"""Tokens of neighbouring inputs compared in one step; bounds the memory."""

PackRange = tuple[int, ...]
"""Indices of the inputs of one pack, ascending."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Distinct token sequences in lexicographic order."""

    tokens: NDArray[np.uint32]
    """All inputs, end to end."""
    starts: Ints
    """(n + 1,) index in `tokens` where each input begins, and the end of the last input."""
    shared: Ints
    """(n,) length of the prefix that each input shares with its predecessor; 0 for the first."""

    def __len__(self) -> int:
        return len(self.shared)

    @property
    def lengths(self) -> Ints:
        """(n,) tokens of each input."""
        return np.diff(self.starts)

    @property
    def distinct(self) -> int:
        """Tokens of the whole tree."""
        return int(self.lengths.sum() - self.shared.sum())

    def of(self, index: int) -> NDArray[np.uint32]:
        """The token ids of one input."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def shared_within(self, run: Sequence[int]) -> list[int]:
        """Length of the prefix that each input shares with its predecessor in the run; 0 for the first."""
        if len(run) < 2:
            return [0] * len(run)
        behind = np.array(run[:-1]) + 1
        return [0, *np.minimum.reduceat(self.shared[: run[-1] + 1], behind).tolist()]

    def tokens_of(self, run: Sequence[int]) -> int:
        """Tokens of a run's pack."""
        return int(self.lengths[list(run)].sum()) - sum(self.shared_within(run))

    def between(self, first: int, last: int) -> "Inputs":
        """The inputs [first, last), as a tree of their own."""
        shared = self.shared[first:last].copy()
        shared[:1] = 0
        return Inputs(self.tokens, self.starts[first : last + 1], shared)


@dataclass(frozen=True, slots=True)
class ScorePlan:
    """Packs for a set of scoring requests; depends on the set and the budget, not on the order."""

    inputs: Inputs
    requests: list[tuple[ScoreRequest, ...]]
    """By input: its requests. They all end one token behind the input."""
    runs: list[PackRange]
    """The packs' inputs, the pack with most tokens first."""
    requested: int
    """Tokens of all requests, each computed by itself."""
    planned: int
    """Tokens of all packs."""


def plan_packs(requests: Iterable[ScoreRequest], budget: int, most: int | None = None) -> ScorePlan:
    """Arrange the distinct `requests` as one tree and cut it into packs of at most `budget` tokens.

    An input longer than the budget is alone in its pack. Planning a pack's requests by themselves, within the
    same budget or a larger one, gives the same pack.

    Args:
        requests: the requests to score.
        budget: most tokens of a pack.
        most: most tokens of a pack where memory is ample. The tree is first cut into pieces of this size, and
            each piece is then cut within `budget`: planning a piece's requests by themselves gives the
            piece's packs, whatever the budget.
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
    """Token ids as bytes that sort as the ids do: four bytes each, big-endian."""
    packed = array("I", ids)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def sort_inputs(keys: Iterable[bytes]) -> tuple[Inputs, list[bytes]]:
    """The tree of distinct inputs, given as `sortable` keys, and the keys in its order."""
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
    """The runs, of at most `budget` tokens each, that compute the fewest tokens in all."""
    return cheapest_runs(inputs.lengths - inputs.shared, inputs.shared, inputs.shared + PACK_COST, budget)


def cheapest_runs(adds: Ints, repeats: Ints, cost: Ints, budget: int) -> list[PackRange]:
    """Cut a row of elements into the cheapest runs of at most `budget`; of equally cheap cuts, the fewest.

    A run [first, last) has the size sum(adds[first:last]) + repeats[first] and costs cost[first]. The size
    falls as `first` rises, so the first elements that fit the budget form a window that moves right with
    `last`; dynamic programming over that window finds the optimum. An element larger than the budget is a run
    of its own.

    Args:
        adds: (n,) size that each element adds to its run.
        repeats: (n,) size that an element adds besides if it is the run's first; at most `adds + repeats` of
            its predecessor.
        cost: (n,) cost of beginning a run with the element; above 0.
        budget: largest size of a run.
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
        spent, begin = window[0]  # the newest entry is never dropped: an input over the budget is alone
        begins.append(begin)
    return _followed_back(begins)


def _followed_back(begins: Sequence[int]) -> list[PackRange]:
    runs: list[PackRange] = []
    end = len(begins)
    while end:
        runs.append(tuple(range(begins[end - 1], end)))
        end = begins[end - 1]
    return runs[::-1]


def without(plan: ScorePlan, answered: Container[ScoreRequest]) -> tuple[list[PackRange], int]:
    """Runs of the inputs that still have unanswered requests, and their tokens.

    A pack whose requests are all answered is dropped, and a pack without answers stays as it is, so that a
    resumed run computes the same packs as an uninterrupted one.
    """
    open_inputs = [any(request not in answered for request in requests) for requests in plan.requests]
    runs = [tuple(index for index in run if open_inputs[index]) for run in plan.runs]
    kept = [run for run in runs if run]
    return kept, sum(map(plan.inputs.tokens_of, kept))
