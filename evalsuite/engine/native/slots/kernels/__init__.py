"""Triton kernels of Mamba-2 layers over slots: prompts, and one new token per row in place by slot."""
