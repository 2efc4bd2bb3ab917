"""Requests of token ids to answers. Importing this imports neither torch nor transformers."""

from evalsuite.engine.encode import Encoded, encode_contexts, encode_documents, encode_pairs
from evalsuite.engine.make import make_engine
from evalsuite.engine.protocol import Block, Engine, Tokenizer
from evalsuite.engine.transformers_engine import TransformersEngine

__all__ = [
    "Block",
    "Encoded",
    "Engine",
    "Tokenizer",
    "TransformersEngine",
    "encode_contexts",
    "encode_documents",
    "encode_pairs",
    "make_engine",
]
