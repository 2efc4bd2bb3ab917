"""Lengths in a configuration beyond which a model computes differently.

Such lengths are windows, chunks, blocks, and the thresholds of attention temperatures.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from evalsuite.engine.planning.rope import length_rule

NAMES = re.compile(
    r"(sliding_window|window_size|attention_window|local_attention|attention_chunk_size|chunk_length|top_?k$"
    r"|topk_blocks|indexer_budget|floor_scale|n_floor|rel_extent|keep_window)"
)
"""Fields that hold such a length; checked against all causal models of transformers 5.23."""
NOT_LENGTHS = re.compile(r"expert|moe|router|group")
WITH_NEIGHBOURS = re.compile(r"chunk_length")
"""Chunks whose tokens also attend to the previous chunk (Reformer): the limit shows after three chunks."""
CHUNKS = 3
BLOCKS = (("index_topk_blocks", "index_block_size"),)
"""Fields whose product is the length."""
WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len")
"""Fields with the number of positions."""
LONGEST = 160
"""Longest limit, in tokens, tried on the model itself; longer ones are tried on a tiny copy, shortened."""
LENGTHS = (19, 11, 5)
BEYOND = 13
"""Tokens by which a trial's row exceeds a limit."""
SHORTER = 6
"""Tokens by which the second row beyond a limit is shorter than the first."""


def limits_of(config: Mapping[str, Any]) -> dict[str, int]:
    """Fields with such lengths by name, also of a nested text model; for a repeated name the smallest."""
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
    """The limits that are too long to try on the model itself."""
    return {name: value for name, value in limits_of(config).items() if value > LONGEST}


def trial_lengths(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Lengths of a trial's rows, longest first: some short lengths, and a length beyond each short limit."""
    return tuple(sorted({*LENGTHS, *lengths_beyond(config)}, reverse=True))


def lengths_beyond(config: Mapping[str, Any]) -> list[int]:
    """A length beyond each short limit, if the model has that many positions."""
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
