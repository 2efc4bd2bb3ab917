"""Soft caps on attention scores (Gemma 2), which torch's scaled dot-product attention does not have."""

from typing import Any


def compute_soft_caps(model: Any) -> None:
    """Let a model with soft caps compute its plain passes by transformers' eager attention.

    By default transformers (Gemma 2 in 5.17) chooses SDPA for such a model, and leaves the caps out.
    """
    caps = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    if caps and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation("eager")
