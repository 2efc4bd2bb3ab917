"""Ordinary token ids for trials: ids without a special meaning for the model."""

from collections.abc import Iterator
from typing import Any

STEP = 37
"""Step between neighbouring ids: a prime, which presumably divides no vocabulary size."""


def plain_tokens(config: Any, count: int, start: int = 5) -> tuple[int, ...]:
    """`count` token ids that the configuration does not name as special (padding, images, end of text).

    The same `start` gives the same ids; another `start` gives other ids.
    """
    vocabulary = vocabulary_of(config)
    special = set(_special(config.to_dict()))
    allowed = [token for token in range(min(vocabulary, 4096)) if token not in special]
    return tuple(allowed[(start + STEP * index) % len(allowed)] for index in range(count))


def vocabulary_of(config: Any) -> int:
    """The size of a model's vocabulary."""
    size: int = config.get_text_config().vocab_size
    return size


def _special(value: Any, name: str = "") -> Iterator[int]:
    """Every id in a field with a name like `pad_token_id` or `image_token_index`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _special(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _special(inner, name)
    elif isinstance(value, int) and "token_i" in name:
        yield value
