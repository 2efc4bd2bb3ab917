"""The vLLM engine, on this machine's GPUs."""
