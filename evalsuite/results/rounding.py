"""How far apart two computations of one log-likelihood may be, by data type."""

ROUNDING = {"float32": 5e-4, "float16": 2**-6, "bfloat16": 2**-3}
"""Nats by which the lead of one choice over another may change with what is computed beside it.

float32: log-likelihoods of 20 to 40 tokens differed by up to 2.2e-4 between a padded batch and a pack (SmolLM2-135M,
HellaSwag, measured), and a lead has two of them. bfloat16: lm-eval 0.4.13's HFLM with batches of 1 and of 8 differed by
up to 0.125 (SmolLM2-135M, MMLU, measured). float16: not measured; it has three more bits than bfloat16.
"""


def rounding_of(numerics: str) -> float:
    """Nats below which a lead means nothing, from the words of a numerics class; 0 if it names no data type."""
    return next((ROUNDING[word] for word in numerics.split() if word in ROUNDING), 0.0)
