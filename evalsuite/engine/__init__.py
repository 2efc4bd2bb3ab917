"""Engines, which answer requests of token ids; importing them imports no torch and no transformers."""

from evalsuite.engine.protocol import Engine, EngineDefaults, Tokenizer

__all__ = ["Engine", "EngineDefaults", "Tokenizer"]
