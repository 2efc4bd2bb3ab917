"""The native engine: transformers' models on packed trees, in slots, or in padded batches."""
