"""Metrics as numbers: which way is better."""

_LOWER_IS_BETTER = {"bits_per_byte", "bpb", "perplexity", "byte_perplexity", "word_perplexity"}


def lower_is_better(metric: str) -> bool:
    """Whether a metric counts loss."""
    return metric in _LOWER_IS_BETTER
