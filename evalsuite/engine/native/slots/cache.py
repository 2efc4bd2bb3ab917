"""The slot cache: keys, values and recurrent states of rows by slot, updated in place as rows come and go.

A slot holds the tokens after its prompt's shared prefix. The prefix's keys and values are stored once,
outside the slots; its recurrent states are the initial states of its slots.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.stand_in import ObjectStandIn
from evalsuite.engine.native.transfer import to_device

if TYPE_CHECKING:
    from evalsuite.engine.native.slots.prefix_pool import PooledRows

ROOM_STEP = 128
"""Tokens by which the capacity of all slots grows."""


@dataclass(frozen=True, slots=True)
class PrefixLayer:
    """A layer's part of a prefix; batch dimension 1."""

    keys: torch.Tensor | None
    """(1, heads, kept, width); a layer with a window, or chunks, keeps only as many last tokens."""
    values: torch.Tensor | None
    conv: tuple[torch.Tensor, ...]
    """Last inputs of the convolutions, (1, ...) each."""
    recurrent: tuple[torch.Tensor, ...]
    """Recurrent states, (1, ...) each."""

    @property
    def states(self) -> tuple[torch.Tensor, ...]:
        """Convolution and recurrent states, in the order of `SlotLayer.states`."""
        return (*self.conv, *self.recurrent)


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A prefix after its forward pass."""

    length: int
    layers: tuple[PrefixLayer, ...]
    """In the order of the cache's layers; empty for the empty prefix."""

    @classmethod
    def of(cls, cache: Any, length: int) -> "Prefix":
        """Read transformers' own cache after a forward pass of one row with `length` tokens."""
        return cls(length, tuple(_prefix_layer(layer) for layer in cache.layers))


NO_PREFIX = Prefix(0, ())


def _prefix_layer(layer: Any) -> PrefixLayer:
    conv, recurrent = getattr(layer, "conv_states", {}), getattr(layer, "recurrent_states", {})
    kept = (tuple(state for state in states.values() if state is not None) for states in (conv, recurrent))
    keys, values = (_in_product_dtype(getattr(layer, name, None)) for name in ("keys", "values"))
    return PrefixLayer(keys, values, *kept)


def _in_product_dtype(part: torch.Tensor | None) -> torch.Tensor | None:
    """Keys or values in the data type of their products: at least float32 on a CPU, or each pass converts."""
    halved = part is not None and part.device.type == "cpu" and part.dtype.itemsize < 4
    return part.float() if part is not None and halved else part


@dataclass(slots=True)
class Pass:
    """One forward pass over new tokens of adjacent slots."""

    rows: slice
    """The slots."""
    starts: torch.Tensor
    """(rows,) own tokens in each slot before this pass."""
    start: int
    """The largest of `starts`."""
    length: int
    """New tokens of each row, right padding included."""
    prefixes: Sequence[tuple[Prefix, torch.Tensor | None]]
    """Each prefix with its rows (indices within `rows`); None for all rows."""
    pooled: "PooledRows | None" = None
    """The rows' prefixes in the pool, in place of `prefixes`."""
    lengths: torch.Tensor | None = None
    """(rows,) new tokens without padding; None if nothing is padded."""
    level: bool = False
    """Whether all `starts` are equal."""
    masks: dict[tuple[str | int | Reach, ...], torch.Tensor] = field(default_factory=dict)
    """Attention masks of this pass, shared by all layers of the same kind."""
    copies: dict[torch.device, "Pass"] = field(default_factory=dict)
    """The same pass with its tensors on other devices, whose layers share masks."""

    def on(self, device: torch.device) -> "Pass":
        """This pass for a layer on a device; layers may be on several (`--device spread`)."""
        if self.starts.device == device or self.pooled:
            return self
        if device not in self.copies:
            prefixes = [(prefix, None if rows is None else rows.to(device)) for prefix, rows in self.prefixes]
            starts = self.starts.to(device)
            self.copies[device] = replace(self, starts=starts, prefixes=prefixes, masks={}, copies={})
        return self.copies[device]


class SlotLayer(ObjectStandIn):
    """One layer's tensors: keys and values (slots, heads, capacity, width), states (slots, ...).

    Models of transformers 5.17 read `record_past`, `conv_states` and `recurrent_states` from the cache's
    layers; those of later versions call the cache's methods.
    """

    stands_for: ClassVar[str] = "cache's layer"
    record_past: ClassVar[bool] = False
    """False: recurrent states of slots are never rolled back."""

    def __init__(self, like: Any, slots: int) -> None:
        """Take shapes, data types and device from a used layer of transformers' cache."""
        self.rows = slice(0, slots)
        """The slots of the current pass."""
        layer = _prefix_layer(like)
        self.keys, self.values = (
            None if part is None else part.new_zeros((slots, part.shape[1], 0, part.shape[3]))
            for part in (layer.keys, layer.values)
        )
        conv, recurrent = getattr(like, "conv_states", {}), getattr(like, "recurrent_states", {})
        self.conv = {key: _empty_like(state, slots) for key, state in conv.items() if state is not None}
        self.recurrent = {
            key: _empty_like(state, slots) for key, state in recurrent.items() if state is not None
        }

    @property
    def states(self) -> tuple[torch.Tensor, ...]:
        """Convolution and recurrent states, in `PrefixLayer`'s order."""
        return (*self.conv.values(), *self.recurrent.values())

    @property
    def conv_states(self) -> dict[int, torch.Tensor]:
        """The convolutions' inputs before the current pass, as views: (rows, channels, width) each."""
        return {key: state[self.rows] for key, state in self.conv.items()}

    @property
    def recurrent_states(self) -> dict[int, torch.Tensor]:
        """The states before the current pass, as views: (rows, ...) each."""
        return {key: state[self.rows] for key, state in self.recurrent.items()}

    def reserve(self, tokens: int) -> None:
        """Grow the capacity of every slot to at least `tokens` own tokens."""
        if self.keys is not None and self.values is not None and self.keys.shape[2] < tokens:
            more = -(-tokens // ROOM_STEP) * ROOM_STEP - self.keys.shape[2]
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, more))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, more))

    def begin(self, rows: slice, prefix: PrefixLayer | None) -> None:
        """Set the slots' states to those of the prefix, or to zero."""
        for index, state in enumerate(self.states):
            state[rows] = 0 if prefix is None else prefix.states[index]

    @property
    def by_token(self) -> tuple[torch.Tensor, ...]:
        """Keys and values, if the layer has them."""
        return () if self.keys is None or self.values is None else (self.keys, self.values)

    def copy(self, sources: torch.Tensor, targets: torch.Tensor, length: int) -> None:
        """Copy the first `length` own tokens and the states of slots."""
        for part in self.by_token:
            part[targets, :, :length] = part[sources, :, :length]
        for state in self.states:
            state[targets] = state[sources]


class SlotCache(ObjectStandIn):
    """All layers, with the interface that transformers' models call (`transformers.Cache`, 5.17 to 5.23).

    `current` tells which slots a forward pass uses; set it before calling the model.
    """

    stands_for: ClassVar[str] = "cache"

    def __init__(
        self, like: Any, slots: int, expanded: frozenset[int] = frozenset(), attention: str = "torch"
    ) -> None:
        """Take the kinds of layers from transformers' own cache after a forward pass of one row.

        Args:
            like: transformers' cache.
            slots: number of slots.
            expanded: layers that compute keys and values from the latents that they give to their cache
                (MLA); slots store the computed keys and values.
            attention: what computes attention over the slots, as `Paths.slot_attention`.
        """
        self.expanded = expanded
        self.attention = attention
        self.layers = [SlotLayer(layer, slots) for layer in like.layers]
        self.slots = slots
        self.current: Pass

    @property
    def has_keys(self) -> bool:
        """Whether any layer is an attention layer."""
        return any(layer.by_token for layer in self.layers)

    @property
    def room(self) -> int:
        """Capacity of every slot in own tokens; whenever it grows, keys and values move in memory."""
        return max((layer.by_token[0].shape[2] for layer in self.layers if layer.by_token), default=0)

    def reserve(self, tokens: int) -> None:
        """Grow the capacity of every slot to at least `tokens` own tokens."""
        for layer in self.layers:
            layer.reserve(tokens)

    def begin(self, rows: slice, prefix: Prefix) -> None:
        """Let slots continue the prefix."""
        for index, layer in enumerate(self.layers):
            layer.begin(rows, prefix.layers[index] if prefix.layers else None)

    def prepare(self, current: Pass) -> None:
        """Set the current pass, and grow the capacity for its new tokens."""
        self.current = current
        for layer in self.layers:
            layer.rows = current.rows
        self.reserve(current.start + current.length)

    def copy(self, sources: Sequence[int], targets: Sequence[int], length: int) -> None:
        """Copy the first `length` own tokens and the states of slots."""
        if not sources:
            return
        on_device: dict[str, torch.Tensor] = {}
        for layer in self.layers:
            tensors = (*layer.by_token, *layer.states)
            if tensors:
                device = str(tensors[0].device)
                if device not in on_device:
                    on_device[device] = to_device(torch.tensor([[*sources], [*targets]]), device)
                layer.copy(on_device[device][0], on_device[device][1], length)

    def copied_states(self, rows: int) -> list[torch.Tensor]:
        """Copies of the first slots' convolution and recurrent states, for `put_back`."""
        return [state[:rows].clone() for layer in self.layers for state in layer.states]

    def put_back(self, states: Sequence[torch.Tensor]) -> None:
        """Restore the first slots' states from `copied_states`."""
        current = (state for layer in self.layers for state in layer.states)
        for state, saved in zip(current, states, strict=False):
            state[: len(saved)] = saved

    def wipe(self, starts: torch.Tensor, length: int) -> None:
        """Zero the keys and values of `length` tokens in the first slots, from `starts` (rows,) on."""
        for part, index in self._new(starts, length):
            part[index] = 0

    def clear(self, rows: Sequence[int]) -> None:
        """Zero all keys and values of slots: even a masked NaN would turn a query's output into NaN."""
        for layer in self.layers:
            for part in layer.by_token:
                part[list(rows)] = 0

    def norms(self, starts: torch.Tensor, length: int) -> torch.Tensor:
        """Norms (tensors, rows) of the first slots' states, and of keys and values of tokens as in `wipe`."""
        parts = [part[index] for part, index in self._new(starts, length)]
        parts += [state[: len(starts)] for layer in self.layers for state in layer.states]
        norms = [torch.linalg.vector_norm(part.flatten(1), dim=1, dtype=torch.float32) for part in parts]
        return torch.stack(norms) if norms else starts.new_zeros((0, len(starts)), dtype=torch.float32)

    def _new(
        self, starts: torch.Tensor, length: int
    ) -> Iterator[tuple[torch.Tensor, tuple[torch.Tensor, slice, torch.Tensor]]]:
        """Keys and values of every layer, with the tokens' index in them: (rows, tokens, heads, width)."""
        rows = torch.arange(len(starts), device=starts.device)[:, None]
        tokens = starts[:, None] + torch.arange(length, device=starts.device)
        for layer in self.layers:
            for part in layer.by_token:
                yield part, (rows, slice(None), tokens)

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens of an attention layer; marks the keys with cache and layer for `attend`."""
        if layer_idx not in self.expanded:
            self.write(keys, values, layer_idx)
            keys.in_slots = (self, layer_idx)  # type: ignore[attr-defined]  # a mark that `attend` reads
        return keys, values

    def write(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int) -> None:
        """Store keys and values (rows, heads, new tokens, width) of this pass."""
        layer, now = self.layers[layer_idx], self.current
        assert layer.keys is not None
        assert layer.values is not None
        for part, given in ((layer.keys, keys), (layer.values, values)):
            new = given.to(part.dtype)
            if now.level:
                part[now.rows, :, now.start : now.start + now.length] = new
            else:
                rows = torch.arange(now.rows.start, now.rows.stop, device=part.device)[:, None]
                tokens = now.starts.to(part.device)[:, None] + torch.arange(now.length, device=part.device)
                part[rows, :, tokens] = new.transpose(1, 2)

    def as_prefix(self, length: int) -> Prefix:
        """The first `length` tokens of the first slot as a prefix for other slots; a copy."""
        layers = []
        for layer in self.layers:
            keys, values = (
                (None, None)
                if not layer.by_token
                else (part[:1, :, :length].clone() for part in layer.by_token)
            )
            conv, recurrent = (
                tuple(state[:1].clone() for state in states.values())
                for states in (layer.conv, layer.recurrent)
            )
            layers.append(PrefixLayer(keys, values, conv, recurrent))
        return Prefix(length, tuple(layers))

    def get_conv_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor:
        """The convolution's inputs before this pass, as a view: (rows, channels, width)."""
        return self.layers[layer_idx].conv[state_idx][self.current.rows]

    def update_conv_state(
        self, new: torch.Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        """Store the last inputs of each row; returns old and new inputs together: (rows, channels, ...)."""
        state = self.get_conv_state(layer_idx, state_idx)
        width = state.shape[-1]
        inputs = torch.cat([state, new], dim=-1)
        if self.current.lengths is None:
            state.copy_(inputs[..., -width:])
        else:
            lengths = self.current.lengths.to(new.device)
            last = lengths[:, None] + torch.arange(width, device=new.device)
            state.copy_(inputs.gather(-1, last[:, None].expand(-1, new.shape[1], -1)))
        return inputs

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        """The state before this pass, as a view (rows, ...); None for a layer without a state."""
        state = self.layers[layer_idx].recurrent.get(state_idx)
        return None if state is None else state[self.current.rows]

    def update_recurrent_state(
        self, new: torch.Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        """Replace the state of each row."""
        state = self.layers[layer_idx].recurrent[state_idx][self.current.rows]
        return state.copy_(new)

    def has_previous_state(self, layer_idx: int | None = None, state_idx: int | None = None) -> bool:
        """True: a slot always has a state, though it may be zero."""
        return True

    def is_recording_past(self, layer_idx: int) -> bool:
        """False: recurrent states of slots are never rolled back."""
        return False

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Own tokens of the longest slot; models read it only if they get no position ids."""
        return self.current.start


def _empty_like(state: torch.Tensor, slots: int) -> torch.Tensor:
    return state.new_zeros((slots, *state.shape[1:]))
