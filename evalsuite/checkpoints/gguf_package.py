"""Makes the package gguf, by which transformers reads GGUF files, faster without changing what it reads."""

from functools import lru_cache
from typing import Any


def speed_up_gguf() -> None:
    """Replace the two slowest functions of the package; a second call changes nothing.

    transformers reads the header of a file three times (tokenizer, configuration, weights), each time with
    some 300,000 slices of a mapped file, and builds the table of tensor names once per module of the model.
    """
    try:
        import gguf
    except ImportError:  # transformers says what to install.
        return
    package: Any = gguf
    if package.GGUFReader._get is not _get:
        package.GGUFReader._get = _get
        package.get_tensor_name_map = lru_cache(package.get_tensor_name_map)


def _get(reader: Any, offset: int, dtype: Any, count: int = 1, override_order: str | None = None) -> Any:
    """As `GGUFReader._get`, on a plain array: a slice of a `numpy.memmap` takes ten times as long."""
    import numpy as np

    if "_plain" not in vars(reader):
        reader._plain = reader.data.view(np.ndarray)
    stored = _dtype(dtype, reader.byte_order if override_order is None else override_order)
    return reader._plain[offset : offset + stored.itemsize * int(count)].view(stored)


@lru_cache
def _dtype(dtype: Any, order: str) -> Any:
    import numpy as np

    return np.dtype(dtype).newbyteorder(order)
