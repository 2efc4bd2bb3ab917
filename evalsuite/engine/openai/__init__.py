"""The engine for OpenAI-compatible servers with `/v1/completions`."""
