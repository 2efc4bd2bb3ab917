"""Token ids that mean nothing special to a model, for trials."""

from collections.abc import Iterator
from typing import Any

STEP = 37
"""Between neighbouring ids; a prime that no vocabulary is a multiple of, as far as one can tell."""


def plain_tokens(config: Any, count: int, start: int = 5) -> tuple[int, ...]:
    """So many token ids of the vocabulary, none of which the configuration names (padding, images, ends of
    text).

    The same `start` gives the same ids; another one gives others.
    """
    vocabulary = vocabulary_of(config)
    special = set(_special(config.to_dict()))
    allowed = [token for token in range(min(vocabulary, 4096)) if token not in special]
    return tuple(allowed[(start + STEP * at) % len(allowed)] for at in range(count))


def vocabulary_of(config: Any) -> int:
    """How many token ids a model takes."""
    return config.get_text_config().vocab_size


def _special(value: Any, name: str = "") -> Iterator[int]:
    """Every id that stands under a name like `pad_token_id` or `image_token_index`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _special(inner, str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _special(inner, name)
    elif isinstance(value, int) and "token_i" in name:
        yield value
