"""The cache of a model whose rows come and go: keys, values and recurrent states by slot, in place.

A slot holds what follows its prompt's shared prefix. The prefix's keys and values are kept once,
beside the slots; its recurrent states are where a slot begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from evalsuite.engine.native.stand_in import StandIn

ROOM_STEP = 128
"""Tokens by which the room of all slots grows."""


@dataclass(frozen=True, slots=True)
class PrefixLayer:
    """What one layer keeps of a prefix; batch dimension 1."""

    keys: torch.Tensor | None
    """(1, heads, kept, width); a layer with a window, or chunks, keeps the last tokens of so many only."""
    values: torch.Tensor | None
    conv: tuple[torch.Tensor, ...]
    """Convolutions' last inputs, (1, ...) each."""
    recurrent: tuple[torch.Tensor, ...]
    """Recurrent states, (1, ...) each."""

    @property
    def states(self) -> tuple[torch.Tensor, ...]:
        """Both, in the order of `SlotLayer.states`."""
        return (*self.conv, *self.recurrent)


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A prefix after its pass through the model."""

    length: int
    layers: tuple[PrefixLayer, ...]
    """By the cache's layers; empty for the empty prefix."""

    @classmethod
    def of(cls, cache: Any, length: int) -> "Prefix":
        """Read transformers' own cache after a pass of one row with `length` tokens."""
        return cls(length, tuple(_prefix_layer(layer) for layer in cache.layers))


NO_PREFIX = Prefix(0, ())


def _prefix_layer(layer: Any) -> PrefixLayer:
    conv, recurrent = getattr(layer, "conv_states", {}), getattr(layer, "recurrent_states", {})
    kept = (tuple(state for state in states.values() if state is not None) for states in (conv, recurrent))
    return PrefixLayer(getattr(layer, "keys", None), getattr(layer, "values", None), *kept)


@dataclass(slots=True)
class Pass:
    """One pass of the model over new tokens of neighbouring slots."""

    rows: slice
    """The slots."""
    starts: torch.Tensor
    """(rows,) own tokens in each slot before this pass."""
    start: int
    """The largest of `starts`."""
    length: int
    """New tokens of each row, padding on the right included."""
    prefixes: Sequence[tuple[Prefix, torch.Tensor | None]]
    """Each prefix with the rows (indices within `rows`) that continue it; None for all of them."""
    lengths: torch.Tensor | None = None
    """(rows,) new tokens without padding; None where nothing is padded."""
    level: bool = False
    """All of `starts` are equal."""
    masks: dict[tuple, torch.Tensor] = field(default_factory=dict)
    """What attention has worked out for this pass; the same for all layers of a kind."""


class SlotLayer(StandIn):
    """One layer's tensors: keys and values (slots, heads, room, width), states (slots, ...)."""

    stands_for: ClassVar[str] = "cache's layer"

    def __init__(self, like: Any, slots: int) -> None:
        """Take shapes, types and device from a layer of transformers' cache that has been used."""
        one = _prefix_layer(like)
        self.keys, self.values = (
            None if part is None else part.new_zeros((slots, part.shape[1], 0, part.shape[3]))
            for part in (one.keys, one.values)
        )
        conv, recurrent = getattr(like, "conv_states", {}), getattr(like, "recurrent_states", {})
        self.conv = {at: _empty_like(state, slots) for at, state in conv.items() if state is not None}
        self.recurrent = {
            at: _empty_like(state, slots) for at, state in recurrent.items() if state is not None
        }

    @property
    def states(self) -> tuple[torch.Tensor, ...]:
        """Convolution and recurrent states, in `PrefixLayer`'s order."""
        return (*self.conv.values(), *self.recurrent.values())

    def reserve(self, room: int) -> None:
        """Make room for so many own tokens in every slot."""
        if self.keys is not None and self.values is not None and self.keys.shape[2] < room:
            more = -(-room // ROOM_STEP) * ROOM_STEP - self.keys.shape[2]
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, more))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, more))

    def begin(self, rows: slice, prefix: PrefixLayer | None) -> None:
        """Let slots start from the prefix's states, or from none."""
        for at, state in enumerate(self.states):
            state[rows] = 0 if prefix is None else prefix.states[at]

    @property
    def by_token(self) -> tuple[torch.Tensor, ...]:
        """Keys and values, where the layer has them."""
        return () if self.keys is None or self.values is None else (self.keys, self.values)

    def copy(self, sources: torch.Tensor, targets: torch.Tensor, length: int) -> None:
        """Copy slots, the first `length` own tokens of each."""
        for part in self.by_token:
            part[targets, :, :length] = part[sources, :, :length]
        for state in self.states:
            state[targets] = state[sources]


class SlotCache(StandIn):
    """All layers, in the form that transformers' models call (`transformers.Cache`, 5.17 to 5.23).

    `current` says which slots a pass is about; set it before the model is called.
    """

    stands_for: ClassVar[str] = "cache"

    def __init__(self, like: Any, slots: int, expanded: frozenset[int] = frozenset()) -> None:
        """Take the kinds of layers from transformers' own cache after a pass of one row.

        Layers in `expanded` make keys and values from what they gave their cache (MLA); kept is what they
        attend to.
        """
        self.expanded = expanded
        self.layers = [SlotLayer(layer, slots) for layer in like.layers]
        self.slots = slots
        self.current: Pass

    @property
    def has_keys(self) -> bool:
        """Whether some layer is an attention layer."""
        return any(layer.by_token for layer in self.layers)

    @property
    def room(self) -> int:
        """Own tokens that there is room for in every slot; whenever it grows, keys and values move."""
        return max((layer.by_token[0].shape[2] for layer in self.layers if layer.by_token), default=0)

    def reserve(self, room: int) -> None:
        """Make room for so many own tokens in every slot."""
        for layer in self.layers:
            layer.reserve(room)

    def begin(self, rows: slice, prefix: Prefix) -> None:
        """Let slots start behind the prefix."""
        for at, layer in enumerate(self.layers):
            layer.begin(rows, prefix.layers[at] if prefix.layers else None)

    def prepare(self, current: Pass) -> None:
        """Make the next pass the current one, and room for it."""
        self.current = current
        self.reserve(current.start + current.length)

    def copy(self, sources: Sequence[int], targets: Sequence[int], length: int) -> None:
        """Copy slots, the first `length` own tokens of each."""
        if not sources:
            return
        for layer in self.layers:
            tensors = (*layer.by_token, *layer.states)
            if tensors:
                device = tensors[0].device
                layer.copy(torch.tensor(sources, device=device), torch.tensor(targets, device=device), length)

    def copied_states(self, rows: int) -> list[torch.Tensor]:
        """Convolution and recurrent states of the first slots, for `put_back`."""
        return [state[:rows].clone() for layer in self.layers for state in layer.states]

    def put_back(self, states: Sequence[torch.Tensor]) -> None:
        """Let the first slots have these states again."""
        for state, before in zip(
            (one for layer in self.layers for one in layer.states), states, strict=False
        ):
            state[: len(before)] = before

    def wipe(self, starts: torch.Tensor, length: int) -> None:
        """Zero the keys and values of `length` tokens in the first slots, from `starts` (rows,) on."""
        for part, where in self._new(starts, length):
            part[where] = 0

    def clear(self, rows: Sequence[int]) -> None:
        """Zero all keys and values of slots: a NaN that is hidden from a query makes NaN of it
        nevertheless."""
        for layer in self.layers:
            for part in layer.by_token:
                part[list(rows)] = 0

    def norms(self, starts: torch.Tensor, length: int) -> torch.Tensor:
        """(tensors, rows) of the states of the first slots, and of keys and values of tokens as in `wipe`."""
        parts = [part[where] for part, where in self._new(starts, length)]
        parts += [state[: len(starts)] for layer in self.layers for state in layer.states]
        found = [torch.linalg.vector_norm(part.flatten(1), dim=1, dtype=torch.float32) for part in parts]
        return torch.stack(found) if found else starts.new_zeros((0, len(starts)), dtype=torch.float32)

    def _new(self, starts: torch.Tensor, length: int) -> Iterator[tuple[torch.Tensor, tuple]]:
        """Keys and values of every layer, and where in them the tokens are: (rows, tokens, heads, width)."""
        rows = torch.arange(len(starts), device=starts.device)[:, None]
        tokens = starts[:, None] + torch.arange(length, device=starts.device)
        for layer in self.layers:
            for part in layer.by_token:
                yield part, (rows, slice(None), tokens)

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the new tokens of an attention layer; the keys tell `slots.attention` where the rest is."""
        if layer_idx not in self.expanded:
            self.write(keys, values, layer_idx)
            keys.in_slots = (self, layer_idx)  # type: ignore[attr-defined]
        return keys, values

    def write(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int) -> None:
        """Keep keys and values (rows, heads, new tokens, width) of this pass."""
        layer, now = self.layers[layer_idx], self.current
        assert layer.keys is not None
        assert layer.values is not None
        for part, new in ((layer.keys, keys), (layer.values, values)):
            if now.level:
                part[now.rows, :, now.start : now.start + now.length] = new
            else:
                rows = torch.arange(now.rows.start, now.rows.stop, device=part.device)[:, None]
                tokens = now.starts[:, None] + torch.arange(now.length, device=part.device)
                part[rows, :, tokens] = new.transpose(1, 2)

    def as_prefix(self, length: int) -> Prefix:
        """The first `length` tokens of the first slot, as a prefix for others; shares no memory."""
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
        """Inputs of the convolution before this pass, a view."""
        return self.layers[layer_idx].conv[state_idx][self.current.rows]

    def update_conv_state(
        self, new: torch.Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        """Keep the last inputs of each row; returns old and new ones together, (rows, channels, ...)."""
        state = self.get_conv_state(layer_idx, state_idx)
        width = state.shape[-1]
        inputs = torch.cat([state, new], dim=-1)
        if self.current.lengths is None:
            state.copy_(inputs[..., -width:])
        else:
            last = self.current.lengths[:, None] + torch.arange(width, device=new.device)
            state.copy_(inputs.gather(-1, last[:, None].expand(-1, new.shape[1], -1)))
        return inputs

    def get_recurrent_state(self, layer_idx: int, state_idx: int = 0) -> torch.Tensor | None:
        """State before this pass, a view; None for a layer without one."""
        state = self.layers[layer_idx].recurrent.get(state_idx)
        return None if state is None else state[self.current.rows]

    def update_recurrent_state(
        self, new: torch.Tensor, layer_idx: int, state_idx: int = 0, **_: Any
    ) -> torch.Tensor:
        """Replace the state of each row."""
        state = self.layers[layer_idx].recurrent[state_idx][self.current.rows]
        return state.copy_(new)

    def has_previous_state(self, layer_idx: int | None = None, state_idx: int | None = None) -> bool:
        """A slot always has one, though it may be zero."""
        return True

    def is_recording_past(self, layer_idx: int) -> bool:
        """Slots are never rolled back."""
        return False

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Asked for only where a model is given no positions; slots differ in length."""
        return self.current.start


def _empty_like(state: torch.Tensor, slots: int) -> torch.Tensor:
    return state.new_zeros((slots, *state.shape[1:]))
