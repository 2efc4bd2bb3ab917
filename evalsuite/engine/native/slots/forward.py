"""Forward passes over slots: a prefix, new prompts that continue it, and one more token for every slot."""

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from evalsuite.engine.native.forward import run_at
from evalsuite.engine.native.kernels.pointwise.switch import pointwise_by
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.score_batch import PADDING_ID
from evalsuite.engine.native.slots.attention import slot_attention
from evalsuite.engine.native.slots.cache import NO_PREFIX, Pass, Prefix, SlotCache
from evalsuite.engine.native.slots.expanded import as_attended
from evalsuite.engine.native.slots.graphs import Graphing, Graphs, RecordedStep
from evalsuite.engine.native.slots.padding import counted_delta_rules, is_mamba2, still_padding
from evalsuite.engine.native.slots.prefix_pool import PooledRows
from evalsuite.engine.native.slots.reserved import GROWING, Reserved
from evalsuite.engine.native.slots.steps import Factory, prompt_functions, step_functions
from evalsuite.engine.native.temperature import layers_with_temperature, temperature_at
from evalsuite.engine.native.transfer import to_device
from evalsuite.engine.native.trees.functions import replaced
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds


@dataclass(frozen=True, slots=True)
class SlotModel:
    """A model and the properties that slots need."""

    loaded: LoadedModel
    like: Any
    """transformers' cache after a forward pass of one token: the kinds and shapes of its layers."""
    mixers: tuple[Any, ...]
    """Mamba-2 mixers, whose last `num_heads` input features are the raw time steps."""
    pads: bool
    """Whether prompts of unequal length may be right-padded.

    They may if the only recurrent layers are gated delta rules and such mixers, without a lower limit of dt.
    """
    forgets: bool
    """Whether the last tokens of a slot can be dropped again: the model has no recurrent layer."""
    expanded: frozenset[int] = frozenset()
    """Layers that compute keys and values from cached latents (MLA); `like` has the computed ones."""
    tempered: tuple[Any, ...] = ()
    """Attention layers whose queries are scaled by position (Llama-4)."""

    @property
    def step_functions(self) -> Mapping[str, Factory]:
        """Functions of the model's layers to replace in decode steps."""
        return step_functions(self.loaded.paths.steps, self.loaded.device) if self.mixers else {}

    @property
    def prompt_functions(self) -> Mapping[str, Factory]:
        """Functions of the model's layers to replace in passes over prompts."""
        return prompt_functions(self.loaded.paths.prompts) if self.mixers else {}

    @property
    def pages(self) -> bool:
        """Whether any layer has keys and values that the path "paged" of attention over slots can read."""
        layers = ((layer.keys, layer.values) for layer in Prefix.of(self.like, 1).layers)
        return any(
            keys is not None and keys.shape == getattr(values, "shape", None) for keys, values in layers
        )

    @classmethod
    @torch.inference_mode()
    def of(cls, loaded: LoadedModel) -> "SlotModel":
        """Determine the properties by a forward pass of one token.

        Raises:
            ModelError: the model returns no cache, or a cache unlike transformers'.
        """
        with counted_delta_rules(loaded.model) as delta_rules:
            cache = _plain_pass(loaded, (PADDING_ID,))
        if not hasattr(cache, "layers"):
            raise ModelError(f"{type(loaded.model).__name__} returns no cache of layers.")
        mixers = tuple(module for module in loaded.model.modules() if is_mamba2(module))
        layers = Prefix.of(cache, 1).layers
        # Convolutions store the last real inputs of each row, without the padding after them.
        recurrent = sum(bool(layer.recurrent) for layer in layers)
        known = len(mixers) + len(delta_rules)
        pads = known >= recurrent and all(max(mixer.time_step_limit[0], 0) == 0 for mixer in mixers)
        like, expanded = as_attended(loaded, cache, lambda: _plain_pass(loaded, (PADDING_ID,)))
        forgets, tempered = not any(layer.states for layer in layers), layers_with_temperature(loaded.model)
        return cls(loaded, like, mixers, pads, forgets, expanded, tempered)

    def prefix(self, ids: TokenIds) -> Prefix:
        """Run the prefix `ids` by itself."""
        if not ids:
            return NO_PREFIX
        if self.expanded:
            return _slot_prefix(self, ids)
        with _replaced(self.loaded.model, self.prompt_functions):
            return Prefix.of(_plain_pass(self.loaded, ids), len(ids))


def _plain_pass(loaded: LoadedModel, ids: TokenIds) -> Any:
    """transformers' own cache after a forward pass of one row; computes no logits."""
    tokens = to_device(torch.tensor([ids]), loaded.device)
    none = torch.empty(0, dtype=torch.long, device=loaded.device)
    positions = torch.arange(len(ids), device=loaded.device)[None]
    return run_at(loaded, tokens, none, none, position_ids=positions, use_cache=True)[1]


def _slot_prefix(model: SlotModel, ids: TokenIds) -> Prefix:
    """A prefix computed in a slot, for layers whose keys are not in transformers' cache."""
    slots = Slots(model, 1)
    slots.prefill(NO_PREFIX, [ids])
    return slots.as_prefix(len(ids))


@dataclass(frozen=True, slots=True)
class _RowPositions:
    """The rows' lengths and positions before a step, (rows,) each, on the device."""

    starts: torch.Tensor
    """Own tokens so far."""
    positions: torch.Tensor
    """Position of the next token, the prefix included."""
    prefixes: list[tuple[Prefix, torch.Tensor | None]]
    pooled: PooledRows | None
    """The rows' prefixes in the pool for captured steps; None if they are not there."""

    def next(self) -> "_RowPositions":
        """The same rows after one more token."""
        return replace(self, starts=self.starts + 1, positions=self.positions + 1)


class Slots:
    """The active rows, which occupy the first slots of the cache: every pass uses plain slices of it."""

    def __init__(
        self,
        model: SlotModel,
        count: int,
        graphing: Graphing | None = None,
        reserved: Reserved = GROWING,
    ) -> None:
        """Create `count` slots; with `graphing`, decode steps are captured and replayed."""
        self.model = model
        self.count = count
        """Most rows at a time."""
        self.computed = 0
        """Tokens fed to the model, padding not counted."""
        self._cache = SlotCache(model.like, count, model.expanded, model.loaded.paths.slot_attention)
        self._cache.reserve(reserved.own_tokens)
        self._device = model.loaded.device
        self._lengths: list[int] = []
        self._prefixes: list[Prefix] = []
        self._positions: _RowPositions | None = None
        """The rows' positions in the next step; None after a change of rows."""
        # Not a method of this object: a reference cycle would keep the cache until Python's next cycle
        # collection.
        self._run_step = functools.partial(_run_step, model, self._cache)
        self._graphs = (
            Graphs(graphing, self._cache, self._run_step, reserved.prefix_tokens) if graphing else None
        )

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def free(self) -> int:
        """Slots without a row."""
        return self.count - len(self)

    def prefill(self, prefix: Prefix, prompts: Sequence[TokenIds]) -> torch.Tensor:
        """Run prompts that continue `prefix`, the longest first, in new rows.

        Returns:
            (prompts, vocabulary) next-token logits.
        """
        first, lengths = len(self), [len(prompt) for prompt in prompts]
        self._positions = None
        self._cache.begin(slice(first, first + len(prompts)), prefix)
        parts = []
        for rows, start, end in pieces(lengths, padded=self.model.pads):
            parts.append(self._prefill_piece(prefix, prompts[:rows], start, end))
        self._lengths += lengths
        self._prefixes += [prefix] * len(prompts)
        self.computed += sum(lengths)
        return torch.cat(parts[::-1])

    def _prefill_piece(
        self, prefix: Prefix, prompts: Sequence[TokenIds], start: int, end: int
    ) -> torch.Tensor:
        """Logits of the prompts that end in this piece."""
        first, length = len(self), end - start
        ids = [prompt[start:end] + (PADDING_ID,) * (end - len(prompt)) for prompt in prompts]
        lengths = self._tensor([min(len(prompt), end) - start for prompt in prompts])
        ragged = any(len(prompt) < end for prompt in prompts)
        now = Pass(
            rows=slice(first, first + len(prompts)),
            starts=torch.full_like(lengths, start),
            start=start,
            length=length,
            prefixes=[(prefix, None)],
            lengths=lengths if ragged else None,
            level=True,
        )
        positions = prefix.length + torch.arange(start, end, device=self._device).expand(len(prompts), -1)
        ending = self._tensor([index for index, prompt in enumerate(prompts) if len(prompt) <= end])
        model = self.model
        with (
            still_padding(model.loaded.model, model.mixers, now),
            _replaced(model.loaded.model, model.prompt_functions),
        ):
            return _run(model, self._cache, now, self._tensor(ids), positions, ending, lengths[ending] - 1)

    def decode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Feed each row its next token (rows,); returns (rows, vocabulary) logits of the token after it.

        While the rows stay the same, a step's positions are computed on the device from those of the previous
        step.
        """
        if self._positions is None:
            self._positions = self._current_positions()
        logits = self._logits(self._positions, tokens[:, None])[:, 0]
        self._positions = self._positions.next()
        self._lengths = [length + 1 for length in self._lengths]
        self.computed += len(self)
        return logits

    def check(self, tokens: torch.Tensor) -> torch.Tensor:
        """Feed each row a token and draft tokens after it; `extend` then keeps the accepted ones.

        Only for a model that `forgets`.

        Args:
            tokens: (rows, length).

        Returns:
            (rows, length, vocabulary) logits of the token after each of them.
        """
        return self._logits(self._current_positions(), tokens)

    def _logits(self, rows: _RowPositions, tokens: torch.Tensor) -> torch.Tensor:
        """(rows, length, vocabulary) logits after each of (rows, length) new tokens."""
        new = torch.arange(tokens.shape[1], device=self._device)
        step = RecordedStep(
            tokens=tokens,
            positions=rows.positions[:, None] + new,
            starts=rows.starts,
            end=max(self._lengths) + tokens.shape[1],
            prefixes=rows.prefixes,
            pooled=rows.pooled,
        )
        replayed = self._graphs.logits(step) if self._graphs else None
        return self._run_step(step) if replayed is None else replayed

    def extend(self, tokens: Sequence[int]) -> None:
        """Keep the first `tokens[row]` tokens of the last `check` in each row."""
        self._positions = None
        self._lengths = [length + more for length, more in zip(self._lengths, tokens, strict=True)]
        self.computed += sum(tokens)

    def _current_positions(self) -> "_RowPositions":
        lengths = [self._lengths, [prefix.length for prefix in self._prefixes]]
        placed = self._graphs.place(self._prefixes) if self._graphs else None
        starts, before, *places = self._tensor([*lengths, placed.starts] if placed else lengths)
        pooled = None
        if self._graphs and placed:
            pooled = self._graphs.pooled(places[0], before, placed.end)
        return _RowPositions(starts, before + starts, self._rows_by_prefix(), pooled)

    def as_prefix(self, length: int) -> Prefix:
        """The first `length` tokens of the first row, as a prefix."""
        return self._cache.as_prefix(length)

    def copy(self, sources: Sequence[int]) -> None:
        """Add copies of the rows `sources`."""
        targets = list(range(len(self), len(self) + len(sources)))
        self._positions = None
        self._cache.copy(sources, targets, max((self._lengths[row] for row in sources), default=0))
        self._lengths += [self._lengths[row] for row in sources]
        self._prefixes += [self._prefixes[row] for row in sources]

    def clear(self, rows: Sequence[int]) -> None:
        """Zero the keys and values of rows with NaN or infinity, before the rows are dropped."""
        if rows:
            self._cache.clear(rows)

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all other rows, moving the last rows into the gaps; returns the old index of each row."""
        staying = [row for row in rows if row < len(rows)]
        gaps = sorted(set(range(len(rows))) - set(staying))
        moving = [row for row in rows if row >= len(rows)]
        self._positions = None
        self._cache.copy(moving, gaps, max((self._lengths[row] for row in moving), default=0))
        order = list(range(len(rows)))
        for gap, row in zip(gaps, moving, strict=True):
            order[gap] = row
        self._lengths = [self._lengths[row] for row in order]
        self._prefixes = [self._prefixes[row] for row in order]
        return order

    def _rows_by_prefix(self) -> list[tuple[Prefix, torch.Tensor | None]]:
        distinct = list(dict.fromkeys(self._prefixes))
        if len(distinct) == 1:
            return [(distinct[0], None)]
        return [
            (prefix, self._tensor([row for row, other in enumerate(self._prefixes) if other is prefix]))
            for prefix in distinct
        ]

    def _tensor(self, values: Sequence[int] | Sequence[Sequence[int]]) -> torch.Tensor:
        return to_device(torch.tensor(values, dtype=torch.long), self._device)


def _run_step(model: SlotModel, cache: SlotCache, step: RecordedStep) -> torch.Tensor:
    """(rows, length, vocabulary) logits of a step.

    Values from the host may depend only on what is equal in every replay of a captured step: its shape, and
    `step.end`.
    """
    count, length = step.tokens.shape
    now = Pass(
        rows=slice(0, count),
        starts=step.starts,
        start=step.end - length,
        length=length,
        prefixes=step.prefixes,
        pooled=None if step.prefixes else step.pooled,
    )
    new = torch.arange(length, device=step.tokens.device)
    rows = torch.arange(count, device=step.tokens.device).repeat_interleave(length)
    with _replaced(model.loaded.model, model.step_functions):
        logits = _run(model, cache, now, step.tokens, step.positions, rows, new.repeat(count))
    return logits.view(count, length, logits.shape[-1])


def _replaced(model: Any, functions: Mapping[str, Factory]) -> contextlib.AbstractContextManager[None]:
    """`replaced`, which walks over all layers, only where there is something to replace."""
    return replaced(model, functions) if functions else contextlib.nullcontext()


def _run(
    model: SlotModel,
    cache: SlotCache,
    now: Pass,
    ids: torch.Tensor,
    positions: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """(n, vocabulary) logits at (rows[i], columns[i]) of a pass.

    Args:
        model: the model.
        cache: the slot cache.
        now: the pass.
        ids: (rows of the pass, length) token ids.
        positions: (rows of the pass, length) position ids.
        rows, columns: (n,) indices into `ids`.
    """
    cache.prepare(now)
    options = {"position_ids": positions, "use_cache": True, model.loaded.cache_name: cache}
    pointwise = pointwise_by(model.loaded.model, model.loaded.paths.pointwise)
    with slot_attention(model.loaded.model, cache), temperature_at(model.tempered, positions), pointwise:
        return run_at(model.loaded, ids, rows, columns, **options)[0]


def pieces(lengths: Sequence[int], *, padded: bool) -> list[tuple[int, int, int]]:
    """Passes over prompts of descending length, each as (number of first prompts, first token, end token).

    A single pass with right padding; or, without padding, a pass for each distinct length.
    """
    if padded:
        return [(len(lengths), 0, lengths[0])]
    ends = sorted(set(lengths))
    return [
        (sum(length >= end for length in lengths), start, end)
        for start, end in zip([0, *ends], ends, strict=False)
    ]
