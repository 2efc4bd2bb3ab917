"""Norms, activations and rotary embeddings of a model, each in one kernel.

transformers' modules compute them operation by operation: an RMS norm takes eight launches, most of them over
rows in float32, and a rotary embedding ten or more. A kernel reads and writes its tensors once.

- `programs`: the Triton programs; `functions`: what calls them, for tensors.
- `modules`: which modules of a model they compute, by a trial of each module.
- `rotary`: the same for the function that rotates queries and keys.
- `switch`: the context in which a model computes by them.

Reckoned, not measured: for a pack of 16,384 tokens of Nemotron-H-8B these kernels and the additions of
residuals move 95 GB, 32 ms at 3.0 TB/s, where operations one by one take 152 ms: squared ReLU 34 GB, gated
norms 26, additions 21, norms 14.

A norm is not fused with the addition of the residual before it. That would save one of five transfers of a
row of the model's width, 2 of the 600 ms of a pack of 16,000 tokens of Nemotron-H-8B on an H100 (reckoned);
but the sum is computed by the layer's own forward method, which each family writes anew, and in Nemotron-H it
is computed in the layer before.
"""
