"""Whether a higher or a lower value of a metric is better."""

_LOWER_IS_BETTER = {"bits_per_byte", "bpb", "perplexity", "byte_perplexity", "word_perplexity"}


def lower_is_better(metric: str) -> bool:
    """Whether a lower value of the metric is better."""
    return metric in _LOWER_IS_BETTER
