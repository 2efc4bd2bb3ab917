"""Requests of token ids to answers. Importing this imports neither torch nor transformers."""

from evalsuite.engine.protocol import Engine, EngineDefaults, Tokenizer

__all__ = ["Engine", "EngineDefaults", "Tokenizer"]
