"""Rotary embeddings that depend on the longest row of a forward pass, so that a row depends on its batch.

longrope (Phi-3, Phi-4-mini) switches to other factors once a pass has a position beyond the original context;
dynamic NTK scaling uses other factors for every length beyond it, and remembers the longest length that it
has seen (transformers 5.17 to 5.23, `modeling_rope_utils.dynamic_rope_update`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGROPE = ("longrope", "su")
"""Names of longrope in configurations; Phi-3's first configurations said "su"."""
DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class LengthRule:
    """Which lengths of rows are rotated alike."""

    limit: int
    """All lengths up to this many tokens are rotated alike."""
    each: bool = False
    """Beyond the limit each length has its own rotation; if False, all longer lengths are rotated alike."""

    def group(self, length: int) -> int:
        """The group of a row of `length` tokens; rows of one group may share a forward pass."""
        if length <= self.limit:
            return 0
        return length if self.each else self.limit + 1

    def begins_anew(self, length: int) -> bool:
        """Whether a text of `length` tokens needs its KV cache recomputed, as in transformers' `generate`."""
        return length > self.limit if self.each else length == self.limit + 1


def length_rule(config: Mapping[str, Any], window: int | None = None) -> LengthRule | None:
    """The rule of a configuration; None where all rows are rotated alike.

    Args:
        config: a `config.json`, or what transformers makes of it.
        window: tokens of the longest row; None if no row is too long. Dynamic scaling begins behind
            `max_position_embeddings`, so that it never begins where this is the window.
    """
    rules = {rule for rule in _rules(config, {}) if window is None or window > rule.limit}
    if len(rules) > 1:  # several kinds of layers: the strictest rule
        return LengthRule(min(rule.limit for rule in rules), each=True)
    return next(iter(rules), None)


def _rules(config: Any, above: Mapping[str, Any]) -> Iterator[LengthRule]:
    if not isinstance(config, Mapping):
        return
    kind = config.get("rope_type", config.get("type"))
    if isinstance(kind, str) and (kind in LONGROPE or DYNAMIC in kind):
        names: tuple[str, ...] = ("original_max_position_embeddings", "max_position_embeddings")
        if DYNAMIC in kind:
            names = names[1:]
        stated = [level.get(name) for name in names for level in (config, above)]
        limit = next((value for value in stated if isinstance(value, int)), None)
        yield LengthRule(limit or 0, each=DYNAMIC in kind)
    around = {**above, **{name: value for name, value in config.items() if isinstance(value, int)}}
    for value in config.values():
        yield from _rules(value, around)


def forget_longest(model: Any) -> None:
    """Reset dynamic scaling, so that no forward pass depends on earlier ones."""
    for module in model.modules():
        if not hasattr(module, "max_seq_len_cached"):
            continue
        for name in [name for name in vars(module) if name.endswith("max_seq_len_cached")]:
            setattr(module, name, module.original_max_seq_len)
        for name, buffer in list(module.named_buffers(recurse=False)):
            original = getattr(module, f"{name.removesuffix('inv_freq')}original_inv_freq", None)
            if name.endswith("inv_freq") and original is not None:
                setattr(module, name, original.to(buffer.device).clone())
