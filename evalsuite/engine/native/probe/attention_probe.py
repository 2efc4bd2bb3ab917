"""What a model asks of its attention layers, found out by one pass over a short row.

Trees and slots replace transformers' attention and never see the masks that a model would make. So those are
looked at once: a mask is asked for as a function of two positions, which can be called far beyond the row's
end, so that a window of thousands of tokens shows in a row of a few.
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
"""Under which transformers knows the probe, and its masks."""
ROW = 12
"""Tokens of the probe's row."""
FAR = 2**20
"""A position beyond every window and chunk."""


@dataclass(frozen=True, eq=False)
class AskedMask(TensorStandIn):
    """A mask that a model asked for, in place of the (1, 1, ROW, ROW) tensor of bool."""

    stands_for: ClassVar[str] = "attention mask"
    dtype: ClassVar[torch.dtype] = torch.bool
    shape: ClassVar[torch.Size] = torch.Size((1, 1, ROW, ROW))
    ndim: ClassVar[int] = 4

    sees: Callable[..., Any]
    """transformers' mask function of (batch, head, query, key)."""
    local_size: int | None
    device: Any

    def __bool__(self) -> bool:
        """Code asks whether there is a mask."""
        return True

    def __getitem__(self, index: Any) -> "AskedMask":
        return self

    def to(self, *_: Any, **__: Any) -> "AskedMask":
        """The same mask on any device and in any data type."""
        return self

    def size(self, dim: int | None = None) -> Any:
        """As of a tensor."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """As of a tensor."""
        return self.ndim

    def unlike(self, told: Reach) -> str:
        """How it differs from a causal mask that sees as far as the layer tells; empty if it does not."""
        try:
            return self._unlike(told, (0, ROW - 1, FAR))
        except IndexError:  # it reads tensors that are as long as the row
            return self._unlike(told, (0, ROW - 1))

    def _unlike(self, told: Reach, queries: Iterable[int]) -> str:
        size = self.local_size
        if not size:
            known = told == Reach() and self._is(told, queries)
            return "" if known else "its attention mask is of an unknown kind"
        beyond = (size - 1, size, size + 1, 2 * size, 2 * size + size // 2)
        queries = (*queries, *(query for query in beyond if query < ROW or max(queries) >= FAR))
        kinds = {"window": Reach(window=size), "chunks": Reach(chunk=size)}
        fitting = {name: reach for name, reach in kinds.items() if self._is(reach, queries)}
        if not fitting:
            return "its attention mask is of an unknown kind"
        if told not in fitting.values():
            return f"its attention does not tell its {next(iter(fitting))} of {size} tokens"
        return ""

    def _is(self, reach: Reach, queries: Iterable[int]) -> bool:
        """Whether each query sees what a causal mask lets it see that reaches so far, at the edges."""
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
    """What the layers of a model asked for."""

    layers: int = 0
    """How often attention was asked for."""
    problems: list[str] = field(default_factory=list)

    def note(self, module: Any, mask: Any, window: int | None, options: dict[str, Any]) -> None:
        """Take down one call."""
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
    """Why attention of trees and of slots is not this model's, in a few words; empty where it is.

    A model whose layers do not ask transformers' attention interface has none to be looked at, and passes.
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
