"""NeMo archives (`.nemo`) as models of transformers' Nemotron architecture.

`model_folder` and `tokenizer_folder` give the folder from which transformers loads any model; for an
archive that is a conversion in the user's cache, made when it is first needed. `evalsuite convert-nemo`
makes one elsewhere.
"""

from evalsuite.nemo.cached import model_folder, tokenizer_folder

__all__ = ["model_folder", "tokenizer_folder"]
