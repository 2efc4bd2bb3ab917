"""Faster linear and feed-forward layers for CPUs."""

FLOAT32_SUMS = "float32-sums"
"""Word of a class of numerics: a half-precision model on a CPU, which adds up in float32."""


def numerics_words(device: str, dtype: str) -> tuple[str, ...]:
    """Words for the class of numerics of a model on a CPU; none in float32."""
    return (FLOAT32_SUMS,) if device == "cpu" and dtype != "float32" else ()
