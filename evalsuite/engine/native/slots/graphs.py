"""Steps of fixed shape that are recorded once and replayed, so that a GPU does not wait for the launches of
each.

A step over rows at work takes place in the shape of the next larger size: more rows (free slots, whose
content is overwritten by the next prompt), more new tokens (behind the last one; only models that `forgets`
have several), and keys up to a multiple of `ROOM_STEP`, hidden beyond a row's length. Inputs keep the
addresses used at capture; the tokens of a step are copied there. Nothing in a step may come from the host.

Before a recorded step is used it is held against a plain one: logits, and what both leave in the slots.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from evalsuite.engine.native.differences import difference_of
from evalsuite.engine.native.memory import free_memory
from evalsuite.engine.native.slots.cache import NO_PREFIX, ROOM_STEP, Prefix, SlotCache
from evalsuite.errors import ModelError

WANTED = 4
"""Steps of one shape that run as they are, before the next one is recorded: that costs several of them."""

WANTED_BESIDE_LARGER = 16
"""The same where a larger recorded step serves meanwhile, whose rows are at most twice as many."""

LARGEST_ROWS_STEP = 8
"""Between sizes: with many rows their states, not the weights, are what a hybrid's step takes longest to
read."""

MOST_KEPT = 16
"""Recorded steps; the one that was not used for longest makes room."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """Some new tokens for each of the first slots."""

    tokens: torch.Tensor
    """(rows, length)"""
    positions: torch.Tensor
    """(rows, length), in the text with its prefix."""
    starts: torch.Tensor
    """(rows,) own tokens in each slot before."""
    end: int
    """Own tokens of a slot that are read, from its first one on; the new ones are within."""
    prefixes: Sequence[tuple[Prefix, torch.Tensor | None]]
    """As in `Pass`."""


class Recorded(Protocol):
    """A step that can be replayed."""

    def replay(self) -> torch.Tensor:
        """Its output for what its inputs hold now; the same tensor each time."""
        ...


class Recorder(Protocol):
    """Makes something that can be replayed of a step."""

    def warm_up(self, step: Callable[[], torch.Tensor]) -> None:
        """Run the step as often as it must have run before it is recorded.

        Raises:
            Exception: it does something that cannot be recorded.
        """
        ...

    def record(self, step: Callable[[], torch.Tensor], beside: Recorded | None) -> Recorded:
        """Record the step, which changes nothing; `beside` is a recorded one whose memory may be shared.

        Raises:
            Exception: it cannot be recorded.
        """
        ...


@dataclass(slots=True)
class Graphing:
    """Whether the steps of a model are recorded, by what, and how that went."""

    recorder: Recorder
    allowed: float
    """Difference of a replayed step from a plain one, as in `differences`."""
    refused: str = ""
    """Why they are not recorded any more."""
    recorded: int = 0
    """Steps that were recorded, so far."""
    replayed: int = 0
    """Replays of them."""
    positions: int = 0
    """Computed by these replays, padding too."""


@dataclass(frozen=True, slots=True, order=True)
class _Shape:
    """What is the same in every replay of a recorded step."""

    rows: int
    length: int
    end: int

    def is_served_by(self, other: "_Shape") -> bool:
        """Whether a step of this shape can be done in the other, at a price that is not out of proportion."""
        return (
            self.rows <= other.rows <= 2 * self.rows and self.length == other.length and self.end <= other.end
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A recorded step."""

    inputs: RecordedStep
    graph: Recorded

    def replay(self, step: RecordedStep) -> torch.Tensor:
        """Logits of a step that is not larger."""
        _fill(self.inputs, step)
        rows, length = step.tokens.shape
        return self.graph.replay()[:rows, :length]


def _fill(inputs: RecordedStep, step: RecordedStep) -> None:
    rows, length = step.tokens.shape
    inputs.tokens[:rows, :length] = step.tokens
    inputs.positions[:rows, :length] = step.positions
    inputs.starts[:rows] = step.starts
    # Free slots are written at their first tokens, which the next prompt overwrites.
    inputs.starts[rows:] = 0


class Graphs:
    """The recorded steps over one cache."""

    def __init__(
        self, graphing: Graphing, cache: SlotCache, run: Callable[[RecordedStep], torch.Tensor]
    ) -> None:
        """Record `run`, which computes the (rows, length, vocabulary) logits of a step over `cache`."""
        self._graphing = graphing
        self._cache = cache
        self._run = run
        self._kept: dict[_Shape, _Kept] = {}
        """The one used last stands last."""
        self._wanted: dict[_Shape, int] = {}
        self._valid_for: tuple[int, Prefix] = (0, NO_PREFIX)
        """Room and prefix of all of these."""

    def logits(self, step: RecordedStep) -> torch.Tensor | None:
        """(rows, length, vocabulary), overwritten by the next step; None if the step has to run as it is.

        So it is for rows of several prefixes, for a shape that is new, and for a model that cannot be
        recorded.
        """
        if self._graphing.refused or len(step.prefixes) != 1:
            return None
        shape = self._shape(step)
        self._cache.reserve(shape.end)
        self._forget_unless_valid_for(self._cache.room, step.prefixes[0][0])
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
        read = -(-(step.end - new + length) // ROOM_STEP) * ROOM_STEP
        return _Shape(
            min(padded_rows(rows), self._cache.slots), length, read if self._cache.has_keys else length
        )

    def _forget_unless_valid_for(self, room: int, prefix: Prefix) -> None:
        if self._valid_for != (room, prefix):
            self._kept.clear()
            self._wanted.clear()
            self._valid_for = (room, prefix)

    def _recorded(self, shape: _Shape, step: RecordedStep) -> torch.Tensor | None:
        """Record the step and take its logits from there; None, and all as before, if that cannot be done."""
        saved: list[torch.Tensor] = []
        try:
            saved = self._cache.copied_states(len(step.tokens))
            kept = self._record(shape, step, saved)
            logits = self._proved(kept, step, saved)
        except Exception as error:
            # Only the text is kept: the error's traceback would keep tensors alive.
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
        """Record a step whose inputs hold nothing yet, so that none of them can become a part of it."""
        tokens, positions = step.tokens.new_zeros((2, shape.rows, shape.length))
        inputs = RecordedStep(tokens, positions, step.starts.new_zeros(shape.rows), shape.end, step.prefixes)
        _fill(inputs, step)
        self._graphing.recorder.warm_up(lambda: self._run(inputs))
        self._undo(step, saved)
        for part in (inputs.tokens, inputs.positions, inputs.starts):
            part.zero_()
        beside = next((one.graph for one in self._kept.values()), None)
        return _Kept(inputs, self._graphing.recorder.record(lambda: self._run(inputs), beside))

    def _proved(self, kept: _Kept, step: RecordedStep, saved: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits of the replayed step, which has left in the slots what the plain one leaves there.

        Raises:
            ModelError: they differ.
        """
        expected = self._run(step)
        left = self._cache.norms(step.starts, step.tokens.shape[1])
        self._undo(step, saved)
        found = kept.replay(step)
        logits = difference_of(found, expected)
        slots = _largest_share(self._cache.norms(step.starts, step.tokens.shape[1]) - left, left)
        for off, what in ((logits, "logits"), (slots, "states")):
            # Written so that a difference which is not a number fails, too.
            if not off <= self._graphing.allowed:
                raise ModelError(f"a replayed step's {what} are off by {off:.2g}")
        return found

    def _undo(self, step: RecordedStep, saved: Sequence[torch.Tensor]) -> None:
        """Let the slots be as before the step; it writes its keys and values again."""
        self._cache.put_back(saved)
        self._cache.wipe(step.starts, step.tokens.shape[1])


def padded_rows(rows: int) -> int:
    """The next size of 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 40, and so on by eights."""
    step = min(LARGEST_ROWS_STEP, 1 << max(0, (rows - 1).bit_length() - 2))
    return -(-rows // step) * step


def _largest_share(off: torch.Tensor, norms: torch.Tensor) -> float:
    """Of (tensors, rows), each as a share of its tensor's largest norm; 0 for a model without any."""
    if not norms.numel():
        return 0.0
    return float((off.abs() / norms.amax(dim=1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)).max())
