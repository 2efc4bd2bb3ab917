"""What the names of metrics say."""

_LOWER_IS_BETTER = {"bits_per_byte", "bpb", "perplexity", "byte_perplexity", "word_perplexity"}
_NATS = {"perplexity": "nats", "byte_perplexity": "nats per byte", "word_perplexity": "nats per word"}
_MEANS = ("_macro", "_mean")


def lower_is_better(metric: str) -> bool:
    """Whether a lower value of a metric is better; also of a part or a mean of it."""
    name = metric.partition("[")[0]
    for ending in _MEANS:
        name = name.removesuffix(ending)
    return name in _LOWER_IS_BETTER


def nats_of(metric: str) -> str:
    """Unit of a perplexity's values per document, whose mean a run shows as its exponential; else empty."""
    return _NATS.get(metric, "")


def nats_line(task: str, metric: str) -> str:
    """A sentence for where paired values of a perplexity stand: the run's table has other ones."""
    return f"{task}: {metric} is in {nats_of(metric)} here, the logarithm of the score in the run's table."


def of_domain(metric: str, domain: str) -> str:
    """The name of a metric over the documents of one domain."""
    return f"{metric}[{domain}]"


def is_macro(metric: str, aggregation: str) -> bool:
    """Whether a metric is the unweighted mean over member tasks, by its name or by the task's aggregation."""
    return metric.endswith("_macro") or aggregation == "macro"
