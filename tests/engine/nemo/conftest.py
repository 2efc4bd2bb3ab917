"""A small SentencePiece model with the settings of the real one, and a cache of its own for every test."""

import io

import pytest

from .texts import corpus


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "evalsuite"


def train(**settings) -> bytes:
    """A BPE model: digits apart, white space kept, bytes for what it does not know, symbols for turns."""
    import sentencepiece

    model = io.BytesIO()
    chosen = {
        "vocab_size": 500, "model_type": "bpe", "byte_fallback": True, "split_digits": True,
        "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True, "user_defined_symbols": ["<extra_id_0>", "<extra_id_1>"],
        "character_coverage": 0.99, "unk_id": 0, "pad_id": 1, "bos_id": 2, "eos_id": 3,
    } | settings  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **chosen,
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def pieces() -> bytes:
    return train()
