"""Requests of token ids to answers. Importing this imports neither torch nor transformers."""

from evalsuite.engine.protocol import Block, Engine, Tokenizer

__all__ = ["Block", "Engine", "Tokenizer"]
