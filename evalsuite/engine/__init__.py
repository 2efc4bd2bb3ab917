"""Requests of token ids to answers. Importing this imports neither torch nor transformers."""

from evalsuite.engine.engines import make_engine
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import Block, Engine, Tokenizer
from evalsuite.requests.encode import Encoded, encode_contexts, encode_documents, encode_pairs

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
