"""The largest difference between two computations of the same log-likelihood, by data type."""

import math

from evalsuite.engine.placement import ROUNDED_SCORES

ROUNDING = {"float32": 5e-4, "float16": 2**-5, "bfloat16": 2**-2}
"""Nats by which one choice's lead over another may change with the other requests in the batch.

A lead is the difference of two log-likelihoods, so that it can change by twice their change.

float32: log-likelihoods of 20 to 40 tokens differed by up to 2.2e-4 between a padded batch and a pack
    (SmolLM2-135M, HellaSwag, measured).
bfloat16: log-likelihoods of lm-eval 0.4.13's HFLM differed by up to 0.125 between batch sizes 1 and 8
    (SmolLM2-135M, MMLU, measured). Nine of ten leads of evalsuite were within 0.19 of the float32 leads on
    ARC-easy, and within 0.30 on HellaSwag, whose endings have 12 tokens (docs/engines.md).
float16: not measured; it has three more bits than bfloat16.
"""
STEPS = {"float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
"""Distance between neighbouring numbers of a data type from 1 to 2."""


def rounding_of(numerics: str) -> float:
    """Nats below which a numerics class cannot tell two choices apart; 0 if it names no data type."""
    return next((ROUNDING[word] for word in numerics.split() if word in ROUNDING), 0.0)


def rounding_at(numerics: str, nats: float) -> float:
    """`rounding_of`, plus one rounding step at `nats` if the class also rounds log-likelihoods."""
    words = numerics.split()
    if ROUNDED_SCORES not in words or not 0 < nats < math.inf:
        return rounding_of(numerics)
    step = next((STEPS[word] for word in words if word in STEPS), 0.0)
    return rounding_of(numerics) + step * 2.0 ** math.floor(math.log2(nats))
