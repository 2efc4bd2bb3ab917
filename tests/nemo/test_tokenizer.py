"""Converted tokenizers give SentencePiece's own ids."""

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.checkpoints import resolve
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError
from evalsuite.nemo.tokenizer import TRIED, check_same
from tests.nemo.archives import gpt, write
from tests.nemo.texts import PARTS, SCRIPTS, mixtures, train

KINDS = {
    "as the real one": {},
    "no symbols": {"user_defined_symbols": []},
    "white space as symbols": {"user_defined_symbols": ["▁▁", "▁▁▁▁", "\n\n", "a b"]},
    "no prefix": {"add_dummy_prefix": False},
    "no bytes": {"byte_fallback": False},
    "normalised": {
        "normalization_rule_name": "nmt_nfkc",
        "remove_extra_whitespaces": True,
        "user_defined_symbols": [],
    },
    "white space removed": {"remove_extra_whitespaces": True, "user_defined_symbols": []},
    "pieces across words": {"split_by_whitespace": False},
}


def both(folder, pieces):
    """SentencePiece's own tokenizer, and the one that the engine makes of an archive with it."""
    path = write(folder, gpt(layers=1, vocabulary=640), pieces)
    return sentencepiece.SentencePieceProcessor(model_proto=pieces), HuggingFaceTokenizer(resolve(str(path)))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_sentencepieces_own(tmp_path, kind):
    model, tokenizer = both(tmp_path, train(**KINDS[kind]))
    texts = [*TRIED, *SCRIPTS, *mixtures(2000)]
    ids = tokenizer.encode(texts, special_tokens=False)
    assert ids == model.encode(texts)
    assert ids == tokenizer.encode(texts, special_tokens=True)
    assert len({number for row in ids for number in row}) > 300
    if kind != "no bytes":
        assert [tokenizer.decode(row) for row in ids] == [model.decode(row) for row in ids]


@pytest.fixture(scope="module")
def shared(tmp_path_factory, pieces):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    model, tokenizer = both(tmp_path_factory.mktemp("model"), pieces)
    tokenizer.encode(["once"], special_tokens=False)
    yield model, tokenizer
    patch.undo()


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PARTS), min_size=2).map("".join)))
def test_no_text_is_encoded_otherwise(shared, text):
    model, tokenizer = shared
    # Halves of surrogate pairs are no text to SentencePiece; a lone symbol is the known difference.
    text = text.encode("utf-8", "ignore").decode() + "."
    assert tokenizer.encode([text], special_tokens=False) == [model.encode(text)]


def test_no_bos_is_added_and_it_is_known(shared):
    model, tokenizer = shared
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.bos_text) == (2, 3, "<s>")
    [ids] = tokenizer.encode(["<s>word</s>"], special_tokens=True)
    assert not {0, 1, 2, 3} & set(ids)
    assert ids == model.encode("<s>word</s>")


def test_a_tokenizer_that_gives_other_ids_is_refused(pieces):
    model = sentencepiece.SentencePieceProcessor(model_proto=pieces)

    def other(texts, add_special_tokens):
        return {"input_ids": model.encode([text.lower() for text in texts])}

    with pytest.raises(ModelError, match="other ids for 'Answer: 42'"):
        check_same(model, other, ["word", "Answer: 42"], "tiny.nemo")


@pytest.mark.parametrize(
    ("settings_of_tokenizer", "said"),
    [
        ({"library": "megatron", "type": "GPT2BPETokenizer"}, "a tokenizer of megatron"),
        ({"library": "huggingface", "type": "org/name"}, "a tokenizer of huggingface"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path, pieces, settings_of_tokenizer, said):
    path = write(tmp_path, gpt(layers=1), pieces, settings={"tokenizer": settings_of_tokenizer})
    with pytest.raises(ModelError, match=said):
        HuggingFaceTokenizer(resolve(str(path))).encode(["a"], special_tokens=False)


def test_unigram_models_are_refused(tmp_path):
    path = write(tmp_path, gpt(layers=1), train(model_type="unigram", vocab_size=400))
    with pytest.raises(ModelError, match="not of the kind BPE"):
        HuggingFaceTokenizer(resolve(str(path))).encode(["a"], special_tokens=False)
