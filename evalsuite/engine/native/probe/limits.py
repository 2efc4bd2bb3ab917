"""Lengths that a configuration names, beyond which a model computes otherwise: windows, chunks, blocks,
temperatures."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalsuite.engine.planning.rope import length_rule

NAMES = re.compile(
    r"(sliding_window|window_size|attention_window|local_attention|attention_chunk_size|chunk_length|top_?k$|topk_blocks"
    r"|indexer_budget|floor_scale|n_floor|rel_extent|keep_window)"
)
"""Of configurations' fields that hold such a length; checked against all causal models of transformers
5.23."""
NOT_LENGTHS = re.compile(r"expert|moe|router|group")
WITH_NEIGHBOURS = re.compile(r"chunk_length")
"""Chunks whose tokens see the chunk before theirs, too (Reformer's): what is cut off shows behind three of
them."""
CHUNKS = 3
BLOCKS = (("index_topk_blocks", "index_block_size"),)
"""Fields whose product is the length."""
WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Fields that say how many positions there are."""
LONGEST = 160
"""Tokens up to which a limit is passed on the model itself; beyond, on a tiny copy of it whose limits are
shortened."""
LENGTHS = (19, 11, 5)
BEYOND = 13
"""Tokens by which a row of a trial is longer than a limit."""


def limits_of(config: Mapping[str, Any]) -> dict[str, int]:
    """Fields with such lengths, also of a text model within, by name; the smallest where a name stands more
    than once."""
    found: dict[str, int] = {}
    for name, value in _fields(config):
        if NAMES.search(name) and not NOT_LENGTHS.search(name) and value > 1:
            found[name] = min(value, found.get(name, value))
    for count, size in BLOCKS:
        values = dict(_fields(config))
        if count in values and size in values:
            found[count] = values[count] * values[size]
    if (rule := length_rule(config)) and not rule.each:
        found["original_max_position_embeddings"] = rule.limit
    return found


def long_limits(config: Mapping[str, Any]) -> dict[str, int]:
    """Those that are too long to be passed by the model itself."""
    return {name: value for name, value in limits_of(config).items() if value > LONGEST}


def trial_lengths(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Tokens of the rows of a trial: some short ones, and one beyond each limit that is short; the longest
    first."""
    return tuple(sorted({*LENGTHS, *lengths_beyond(config)}, reverse=True))


def lengths_beyond(config: Mapping[str, Any]) -> list[int]:
    """A length beyond each limit that is short, as far as there are positions."""
    window = next((config[name] for name in WINDOWS if isinstance(config.get(name), int)), LONGEST + BEYOND)
    passed = {
        value * (CHUNKS if WITH_NEIGHBOURS.search(name) else 1) + BEYOND
        for name, value in limits_of(config).items()
        if value <= LONGEST
    }
    return sorted(length for length in passed if length <= window)


def _fields(config: Any) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _fields(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield str(name), value
