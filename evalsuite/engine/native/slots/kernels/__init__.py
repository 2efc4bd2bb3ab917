"""Triton kernels of a decode step: the Mamba-2 updates for one new token per row, in place by slot."""
