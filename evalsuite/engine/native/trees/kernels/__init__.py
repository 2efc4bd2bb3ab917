"""Triton kernels for recurrent layers over a tree."""
