"""Rotary embeddings that depend on how long the longest row of a pass is, so that rows change with their
neighbours.

longrope (Phi-3, Phi-4-mini) rotates by other factors once a pass holds a position beyond the original
context; dynamic NTK scaling by other ones for every length beyond it, and remembers the longest length that
it has seen (transformers 5.17 to 5.23, `modeling_rope_utils.dynamic_rope_update`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGROPE = ("longrope", "su")
"""Names of longrope in configurations; Phi-3's first ones said "su"."""
DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class LengthRule:
    """Which lengths of rows are rotated alike."""

    limit: int
    """Up to so many tokens all are."""
    each: bool = False
    """Beyond the limit each length is rotated in a way of its own; else all of them alike."""

    def group(self, length: int) -> int:
        """Rows of one group may share a pass."""
        if length <= self.limit:
            return 0
        return length if self.each else self.limit + 1

    def begins_anew(self, length: int) -> bool:
        """Whether a text's cache has to be computed again once it has so many tokens, as transformers'
        `generate` does."""
        return length > self.limit if self.each else length == self.limit + 1


def length_rule(config: Mapping[str, Any], window: int | None = None) -> LengthRule | None:
    """The rule of a configuration; None where all rows are rotated alike.

    Args:
        config: a `config.json`, or what transformers makes of it.
        window: tokens of the longest row; None if no row is too long. Dynamic scaling begins behind
            `max_position_embeddings`, so that it never begins where this is the window.
    """
    rules = {rule for rule in _rules(config, {}) if window is None or window > rule.limit}
    if len(rules) > 1:  # several kinds of layers: whatever changes for any of them
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
        stated = [place.get(name) for name in names for place in (config, above)]
        limit = next((value for value in stated if isinstance(value, int)), None)
        yield LengthRule(limit or 0, each=DYNAMIC in kind)
    around = {**above, **{name: value for name, value in config.items() if isinstance(value, int)}}
    for value in config.values():
        yield from _rules(value, around)


def forget_longest(model: Any) -> None:
    """Let dynamic scaling begin again, so that no pass depends on those before it."""
    for module in model.modules():
        if not hasattr(module, "max_seq_len_cached"):
            continue
        for name in [name for name in vars(module) if name.endswith("max_seq_len_cached")]:
            setattr(module, name, module.original_max_seq_len)
        for name, buffer in list(module.named_buffers(recurse=False)):
            original = getattr(module, f"{name.removesuffix('inv_freq')}original_inv_freq", None)
            if name.endswith("inv_freq") and original is not None:
                setattr(module, name, original.to(buffer.device).clone())
