"""Finds out which attention a model's layers request, by one forward pass over a short row.

Trees and slots replace transformers' attention and never see the masks that a model would create. So a probe
inspects them once: the model requests a mask as a function of two positions, which the probe can call far
beyond the row's end, so that a short row reveals a window of thousands of tokens.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from evalsuite.engine.native.probe.attention_options import (
    UnknownOptionError,
    attention_named,
    refuse_unknown,
)
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.reach import Reach, reach_of
from evalsuite.engine.native.stand_in import TensorStandIn, why_it_stopped

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel

NAME = "evalsuite_probe"
"""The name under which the probe and its masks are registered in transformers."""
ROW = 12
"""Tokens of the probe's row."""
FAR = 2**20
"""A position beyond every window and chunk."""


@dataclass(frozen=True, eq=False)
class AskedMask(TensorStandIn):
    """A mask that a model requested, in place of the (1, 1, ROW, ROW) bool tensor."""

    stands_for: ClassVar[str] = "attention mask"
    dtype: ClassVar[torch.dtype] = torch.bool
    shape: ClassVar[torch.Size] = torch.Size((1, 1, ROW, ROW))
    ndim: ClassVar[int] = 4

    sees: Callable[..., Any]
    """transformers' mask function of (batch, head, query, key)."""
    local_size: int | None
    device: Any

    def __bool__(self) -> bool:
        """True: modelling code checks whether there is a mask."""
        return True

    def __getitem__(self, index: Any) -> "AskedMask":
        return self

    def to(self, *_: Any, **__: Any) -> "AskedMask":
        """The same mask on any device and in any data type."""
        return self

    def size(self, dim: int | None = None) -> Any:
        """The shape, as `torch.Tensor.size`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of dimensions, as `torch.Tensor.dim`."""
        return self.ndim

    def unlike(self, declared: Reach) -> str:
        """How the mask differs from a causal mask with the reach that the layer declares; empty if equal."""
        try:
            return self._unlike(declared, (0, ROW - 1, FAR))
        except IndexError:  # the mask function reads tensors that are as long as the row
            return self._unlike(declared, (0, ROW - 1))

    def _unlike(self, declared: Reach, queries: Iterable[int]) -> str:
        size = self.local_size
        if not size:
            known = declared == Reach() and self._is(declared, queries)
            return "" if known else "its attention mask is of an unknown kind"
        beyond = (size - 1, size, size + 1, 2 * size, 2 * size + size // 2)
        queries = (*queries, *(query for query in beyond if query < ROW or max(queries) >= FAR))
        kinds = {"window": Reach(window=size), "chunks": Reach(chunk=size)}
        fitting = {name: reach for name, reach in kinds.items() if self._is(reach, queries)}
        if not fitting:
            return "its attention mask is of an unknown kind"
        if declared not in fitting.values():
            return f"its attention does not tell its {next(iter(fitting))} of {size} tokens"
        return ""

    def _is(self, reach: Reach, queries: Iterable[int]) -> bool:
        """Whether the mask equals a causal mask of this reach, checked for `queries` at the reach's edges."""
        for query in queries:
            first = max(0, reach.first(query))
            keys = {0, first - 1, first, (first + query) // 2, query, query + 1}
            for key in keys:
                if key < 0 or (key >= ROW and max(queries) < ROW):
                    continue
                if self._seen(query, key) != (first <= key <= query):
                    return False
        return True

    def _seen(self, query: int, key: int) -> bool:
        zero = torch.tensor(0)
        return bool(self.sees(zero, zero, torch.tensor(query), torch.tensor(key)))


@dataclass
class Asked:
    """The attention that a model's layers requested."""

    layers: int = 0
    """Number of attention calls."""
    problems: list[str] = field(default_factory=list)

    def note(self, module: Any, mask: Any, window: int | None, options: dict[str, Any]) -> None:
        """Record one attention call."""
        self.layers += 1
        try:
            refuse_unknown(None if isinstance(mask, AskedMask) else mask, options)
        except UnknownOptionError as error:
            self.problems.append(str(error))
            return
        reach = reach_of(module, window)
        if isinstance(mask, AskedMask):
            problem = mask.unlike(reach)
        elif reach.chunk is not None:
            problem = "its chunks of tokens are not in its attention mask"
        else:
            causal = getattr(module, "is_causal", True)
            problem = "" if causal else "its attention looks at what follows"
        if problem:
            self.problems.append(problem)


@torch.inference_mode()
def why_its_attention_is_unknown(loaded: "LoadedModel") -> str:
    """Why trees and slots cannot compute this model's attention, in a few words; empty if they can.

    A model whose layers do not use transformers' attention interface has nothing to inspect, and passes.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    asked = Asked()

    def attend(
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any,
        scaling: Any = None,
        sliding_window: Any = None,
        softcap: Any = None,
        s_aux: Any = None,
        **options: Any,
    ) -> tuple[Any, None]:
        asked.note(module, attention_mask, sliding_window, options)
        spread = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
        return spread[:, :, -query.shape[2] :].transpose(1, 2).contiguous(), None

    def mask(*, mask_function: Any, local_size: int | None = None, **_: Any) -> AskedMask:
        return AskedMask(mask_function, local_size, torch.device(loaded.device))

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, mask)
    ids = torch.tensor([plain_tokens(loaded.model.config, ROW)], device=loaded.device)
    options = {"use_cache": False} if "use_cache" in loaded.parameters else {}
    try:
        with attention_named(loaded.model, NAME):
            loaded.model(input_ids=ids, **options)
    except Exception as error:  # modelling code raises errors of every kind
        return asked.problems[0] if asked.problems else why_it_stopped(error)
    return asked.problems[0] if asked.problems else ""
