"""Decode steps of fixed shape that are captured once and replayed, so that a GPU need not wait for launches.

A step over active rows runs in the shape of the next larger size: more rows (free slots, whose content the
next prompt overwrites), more new tokens (after the last one; only models that `forgets` have several), and
keys up to a multiple of `ROOM_STEP`, masked beyond a row's length. Rows may have different prefixes, whose
keys are read from a pool. Inputs keep the addresses used at capture; a step's tokens are copied there.
Nothing in a step may come from the host. Captured steps are used until the memory of slots or pool grows.

Before a captured step is used, it is compared with a plain step: the logits, and the slots' contents.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evalsuite.engine.native.differences import difference_of
from evalsuite.engine.native.memory import free_memory
from evalsuite.engine.native.slots.cache import ROOM_STEP, Prefix, SlotCache
from evalsuite.engine.native.slots.prefix_pool import PLACE_STEP, Placed, PooledRows, PrefixPool
from evalsuite.errors import ModelError

WANTED = 4
"""Plain steps of a shape before the next one is captured: a capture costs as much as several steps."""

WANTED_BESIDE_LARGER = 16
"""The same if a captured step with up to twice as many rows can serve in the meantime."""

LARGEST_ROWS_STEP = 8
"""Largest step between sizes: with many rows, a hybrid's step mostly reads their states, not the weights."""

MOST_KEPT = 16
"""Most captured steps; the least recently used is evicted."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One or more new tokens for each of the first slots."""

    tokens: torch.Tensor
    """(rows, length) token ids."""
    positions: torch.Tensor
    """(rows, length) positions in the whole sequence, the prefix included."""
    starts: torch.Tensor
    """(rows,) own tokens in each slot before the step."""
    end: int
    """Own tokens of a slot that attention reads, the new tokens included."""
    prefixes: Sequence[tuple[Prefix, torch.Tensor | None]] = ()
    """Each prefix with its rows, as in `Pass`; empty if they are read from the pool."""
    pooled: PooledRows | None = None
    """The rows' prefixes in the pool; a step with both is run with `prefixes` where it is not captured."""


class Recorded(Protocol):
    """A captured step."""

    def replay(self) -> torch.Tensor:
        """Run the step on the current content of its inputs; returns the same output tensor each time."""
        ...


class Recorder(Protocol):
    """Captures steps."""

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        """Run the step as often as is necessary before a capture.

        Raises:
            Exception: the step contains an operation that cannot be captured.
        """
        ...

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> Recorded:
        """Capture the step without running it; `beside` is a captured step whose memory pool may be shared.

        Raises:
            Exception: the step cannot be captured.
        """
        ...


@dataclass(slots=True)
class Graphing:
    """The recorder of a model's decode steps, and counts of captures and replays."""

    recorder: Recorder
    allowed: float
    """Largest difference of a replayed step from a plain step, as in `differences`."""
    refused: str = ""
    """Why steps are no longer captured; empty while they are."""
    recorded: int = 0
    """Number of captured steps so far."""
    replayed: int = 0
    """Number of replays so far."""
    positions: int = 0
    """Positions computed by these replays, padding included."""


@dataclass(frozen=True, slots=True, order=True)
class _Shape:
    """What is equal in every replay of a captured step."""

    rows: int
    length: int
    end: int
    read: int
    """Tokens of the pool of prefixes that attention reads."""

    def is_served_by(self, other: "_Shape") -> bool:
        """Whether a captured step of shape `other` can run a step of this shape at a reasonable cost."""
        fits = self.rows <= other.rows and self.end <= other.end and self.read <= other.read
        return fits and self.length == other.length and other.rows <= 2 * self.rows


@dataclass(frozen=True, slots=True)
class _Kept:
    """A captured step and its inputs."""

    inputs: RecordedStep
    graph: Recorded

    def replay(self, step: RecordedStep) -> torch.Tensor:
        """Logits of a step that is at most as large."""
        _fill(self.inputs, step)
        rows, length = step.tokens.shape
        return self.graph.replay()[:rows, :length]


def _fill(inputs: RecordedStep, step: RecordedStep) -> None:
    rows, length = step.tokens.shape
    inputs.tokens[:rows, :length] = step.tokens
    inputs.positions[:rows, :length] = step.positions
    inputs.starts[:rows] = step.starts
    # The padding rows write to the first tokens of free slots, which the next prompt overwrites.
    inputs.starts[rows:] = 0
    assert inputs.pooled is not None
    assert step.pooled is not None
    inputs.pooled.starts[:rows] = step.pooled.starts
    inputs.pooled.lengths[:rows] = step.pooled.lengths


class Graphs:
    """The captured steps over one cache."""

    def __init__(
        self,
        graphing: Graphing,
        cache: SlotCache,
        run: Callable[[RecordedStep], torch.Tensor],
        prefix_tokens: int = 0,
    ) -> None:
        """Capture steps over a cache.

        Args:
            graphing: the recorder.
            cache: the slot cache.
            run: computes the (rows, length, vocabulary) logits of a step over `cache`.
            prefix_tokens: tokens of all prefixes of active rows; 0 if unknown.
        """
        self._graphing = graphing
        self._cache = cache
        self._run = run
        self._kept: dict[_Shape, _Kept] = {}
        """In order of use, the most recently used last."""
        self._wanted: dict[_Shape, int] = {}
        """Number of steps so far that had no captured step of their shape."""
        self._pool = PrefixPool(cache.layers, prefix_tokens)
        self._valid_for = (0, 0)
        """The capacities of cache and pool for which the captured steps are valid."""

    def place(self, prefixes: Sequence[Prefix]) -> Placed | None:
        """Copy the prefixes of all rows into the pool; None if they do not fit, or if nothing is captured."""
        return None if self._graphing.refused else self._pool.place(prefixes)

    def pooled(self, starts: torch.Tensor, lengths: torch.Tensor, end: int) -> PooledRows:
        """The rows' prefixes in the pool; see `PooledRows`. `end` is the end of the last place."""
        return PooledRows(self._pool, starts, lengths, end)

    def logits(self, step: RecordedStep) -> torch.Tensor | None:
        """(rows, length, vocabulary) logits, overwritten by the next step; None if a plain step must run.

        A plain step must run if the prefixes do not fit into the pool, the shape is new, or the model's steps
        cannot be captured.
        """
        if self._graphing.refused or step.pooled is None:
            return None
        shape = self._shape(step)
        self._cache.reserve(shape.end)
        self._forget_unless_valid()
        serving = min(filter(shape.is_served_by, self._kept), default=None)
        if serving != shape:
            self._wanted[shape] = self._wanted.get(shape, 0) + 1
            if self._wanted[shape] > (WANTED if serving is None else WANTED_BESIDE_LARGER):
                return self._recorded(shape, step)
        if serving is None:
            return None
        kept = self._kept[serving] = self._kept.pop(serving)
        self._graphing.replayed += 1
        self._graphing.positions += serving.rows * serving.length
        return kept.replay(step)

    def _shape(self, step: RecordedStep) -> _Shape:
        rows, new = step.tokens.shape
        length = 1 << (new - 1).bit_length()
        end = -(-(step.end - new + length) // ROOM_STEP) * ROOM_STEP
        assert step.pooled is not None
        return _Shape(
            min(padded_rows(rows), self._cache.slots),
            length,
            end if self._cache.has_keys else length,
            min(padded_read(step.pooled.read), self._pool.tokens),
        )

    def _forget_unless_valid(self) -> None:
        capacities = (self._cache.room, self._pool.tokens)
        if self._valid_for != capacities:
            self._kept.clear()
            self._wanted.clear()
            self._valid_for = capacities

    def _recorded(self, shape: _Shape, step: RecordedStep) -> torch.Tensor | None:
        """Capture the step and return its logits; if that fails, restore the slots and return None."""
        saved: list[torch.Tensor] = []
        try:
            saved = self._cache.copied_states(len(step.tokens))
            kept = self._record(shape, step, saved)
            logits = self._proved(kept, step, saved)
        except Exception as error:
            # Keep only the text: the error's traceback would keep tensors alive.
            self._graphing.refused = str(error).strip().split("\n")[0] or type(error).__name__
        else:
            self._kept[shape] = kept
            if len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._graphing.recorded += 1
            return logits
        self._undo(step, saved)
        self._kept.clear()
        free_memory()
        return None

    def _record(self, shape: _Shape, step: RecordedStep, saved: Sequence[torch.Tensor]) -> _Kept:
        """Capture a step with zeroed inputs, so that no input value can become a constant of the capture."""
        tokens, positions = step.tokens.new_zeros((2, shape.rows, shape.length))
        starts, places, lengths = step.starts.new_zeros((3, shape.rows))
        pooled = PooledRows(self._pool, places, lengths, shape.read)
        inputs = RecordedStep(tokens, positions, starts, shape.end, pooled=pooled)
        _fill(inputs, step)
        self._graphing.recorder.warm_up(lambda: self._run(inputs))
        self._undo(step, saved)
        for part in (tokens, positions, starts, places, lengths):
            part.zero_()
        beside = next((kept.graph for kept in self._kept.values()), None)
        return _Kept(inputs, self._graphing.recorder.record(lambda: self._run(inputs), beside))

    def _proved(self, kept: _Kept, step: RecordedStep, saved: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the replayed step, after checking logits and slots against a plain step.

        Raises:
            ModelError: the replayed step differs from the plain step.
        """
        expected = self._run(step)
        norms = self._cache.norms(step.starts, step.tokens.shape[1])
        self._undo(step, saved)
        found = kept.replay(step)
        logits = difference_of(found, expected)
        slots = _largest_share(self._cache.norms(step.starts, step.tokens.shape[1]) - norms, norms)
        for off, what in ((logits, "logits"), (slots, "states")):
            # "not <=" instead of ">", so that NaN fails, too.
            if not off <= self._graphing.allowed:
                raise ModelError(f"a replayed step's {what} are off by {off:.2g}")
        return found

    def _undo(self, step: RecordedStep, saved: Sequence[torch.Tensor]) -> None:
        """Restore the slots' states and zero the step's keys and values, so that the step can run again."""
        self._cache.put_back(saved)
        self._cache.wipe(step.starts, step.tokens.shape[1])


def padded_rows(rows: int) -> int:
    """The smallest size of at least `rows`: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, and so on in steps of 8."""
    step = min(LARGEST_ROWS_STEP, 1 << max(0, (rows - 1).bit_length() - 2))
    return -(-rows // step) * step


def padded_read(tokens: int) -> int:
    """The smallest size of at least `tokens`: multiples of `PLACE_STEP`, two for each power of two."""
    units = -(-tokens // PLACE_STEP)
    step = 1 << max(0, (units - 1).bit_length() - 2)
    return -(-units // step) * step * PLACE_STEP


def _largest_share(off: torch.Tensor, norms: torch.Tensor) -> float:
    """Largest of (tensors, rows) differences, each as a share of its tensor's largest norm; 0 if empty."""
    if not norms.numel():
        return 0.0
    return float((off.abs() / norms.amax(dim=1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)).max())
