"""How far apart two computations of one log-likelihood may be, by data type."""

import math

from evalsuite.engine.placement import ROUNDED_SCORES

ROUNDING = {"float32": 5e-4, "float16": 2**-5, "bfloat16": 2**-2}
"""Nats by which the lead of one choice over another may change with what is computed beside it.

float32: log-likelihoods of 20 to 40 tokens differed by up to 2.2e-4 between a padded batch and a pack
    (SmolLM2-135M,
HellaSwag, measured), and a lead has two of them. bfloat16: log-likelihoods of lm-eval 0.4.13's HFLM with
batches of 1 and of 8 differed by up to 0.125 (SmolLM2-135M, MMLU, measured), and a lead has two of them; nine
of ten leads of ours were within 0.19 of those computed in float32 on ARC-easy, within 0.30 on HellaSwag,
whose endings have 12 tokens (docs/engines.md).
float16: not measured; it has three more bits than bfloat16.
"""
STEPS = {"float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
"""Between neighbouring numbers of a data type from 1 to 2."""


def rounding_of(numerics: str) -> float:
    """Nats below which a lead means nothing, from the words of a numerics class; 0 if it names no data
    type."""
    return next((ROUNDING[word] for word in numerics.split() if word in ROUNDING), 0.0)


def rounding_at(numerics: str, nats: float) -> float:
    """The same for log-likelihoods of up to so many nats: where they are rounded, too, a step of theirs comes
    to it."""
    words = numerics.split()
    if ROUNDED_SCORES not in words or not 0 < nats < math.inf:
        return rounding_of(numerics)
    step = next((STEPS[word] for word in words if word in STEPS), 0.0)
    return rounding_of(numerics) + step * 2.0 ** math.floor(math.log2(nats))
