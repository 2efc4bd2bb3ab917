import importlib.util

import pytest
import transformers
from packaging.version import Version

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError


def test_texts_become_ids_and_ids_become_text_again(llama_files):
    tokenizer = HuggingFaceTokenizer(llama_files)
    texts = ["Hi  there .", "naïve\n"]
    ids = tokenizer.encode(texts, special_tokens=False)
    assert [len(row) for row in ids] == [11, 7]
    assert [tokenizer.decode(row) for row in ids] == texts


def test_special_tokens_are_known_and_left_out_of_text(llama_files):
    tokenizer = HuggingFaceTokenizer(llama_files)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.bos_text) == (0, 1, "<s>")
    (ids,) = tokenizer.encode(["<s>a</s>"], special_tokens=False)
    assert (ids[0], ids[-1]) == (0, 1)
    assert tokenizer.decode(ids) == "a"


def test_a_long_list_is_encoded_whole_and_in_order(llama_files):
    texts = [f"text {number}" for number in range(5000)]
    ids = HuggingFaceTokenizer(llama_files).encode(texts, special_tokens=False)
    assert len(ids) == 5000
    assert HuggingFaceTokenizer(llama_files).decode(ids[4321]) == "text 4321"


def test_an_unreadable_tokenizer_is_one_sentence(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="The tokenizer of model 'mine' cannot be read") as caught:
        _ = HuggingFaceTokenizer(ModelFiles("mine", tmp_path)).bos_id
    assert "\n" not in str(caught.value)


def test_a_text_that_the_tokenizer_cannot_read_is_a_value_error(llama_files):
    with pytest.raises(ValueError, match="cannot read the text"):
        HuggingFaceTokenizer(llama_files).encode(["\ud83d"], special_tokens=False)


def test_a_token_is_shown_with_its_blank_and_a_special_one_by_its_name(llama_files):
    tokenizer = HuggingFaceTokenizer(llama_files)
    (ids,) = tokenizer.encode(["<s> a</s>é"], special_tokens=False)
    assert list(map(tokenizer.token_text, ids)) == ["<s>", " ", "a", "</s>", "Ã", "©"]


@pytest.mark.parametrize(("named", "found"), [(None, 0), ("</s>", 1), ("7", 7)])
def test_the_prefix_token_is_bos_or_the_one_that_is_named(llama_files, named, found):
    assert HuggingFaceTokenizer(llama_files, prefix_token=named).prefix_id == found


@pytest.mark.parametrize("named", ["<|endoftext|>", "258"])
def test_a_prefix_token_that_there_is_not_is_one_sentence(llama_files, named):
    with pytest.raises(ModelError, match="an id from 0 to 257"):
        _ = HuggingFaceTokenizer(llama_files, prefix_token=named).prefix_id


def test_code_that_a_tokenizer_brings_is_allowed_by_name(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["mine.Mine", null]}}')
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match="allow it with --trust-remote-code"):
        _ = HuggingFaceTokenizer(ModelFiles("mine", tmp_path)).bos_id


def sentencepiece_folder(folder, model_type, **training):
    """A model's folder whose tokenizer is a SentencePiece file, of the class that its configuration names."""
    sentencepiece = pytest.importorskip("sentencepiece")
    words = [
        "Which",
        "of",
        "these",
        "is",
        "number",
        "one",
        "two",
        "three",
        "four",
        "?",
        "Answer",
        ":",
        "A",
        "B",
        "C",
        "D",
        ".",
        "Question",
        "the",
        "and",
        "a",
        "in",
        "to",
    ]
    (folder / "text").write_text("\n".join(" ".join(words[at:] + words[:at]) for at in range(len(words))))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **training,
    )
    (folder / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    return ModelFiles("mine", folder)


AS_LLAMA = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}


@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_a_sentencepiece_file_gives_the_tokens_that_the_package_gives(tmp_path, model_type):
    tokenizer = HuggingFaceTokenizer(sentencepiece_folder(tmp_path, model_type, **AS_LLAMA))
    (ids,) = tokenizer.encode(["Answer"], special_tokens=False)
    assert "".join(map(tokenizer.token_text, ids)) == " Answer"
    if model_type == "mistral" and Version(transformers.__version__) >= Version("5.24"):
        assert tokenizer.notes == ()  # its own choice gives SentencePiece's tokens
        return
    *chosen, left = tokenizer.notes
    assert ["LlamaTokenizer, as the folder" in note for note in chosen] == [True] * (model_type == "mistral")
    assert "for 2 of 16 texts" in left  # those that begin with a blank, which SentencePiece doubles


def test_tokens_that_differ_from_the_package_s_are_told(tmp_path):
    tokenizer = HuggingFaceTokenizer(sentencepiece_folder(tmp_path, "llama"))  # double blanks become one
    assert tokenizer.notes == ()
    _ = tokenizer.bos_id
    assert "other tokens than SentencePiece" in tokenizer.notes[0]


def test_a_tekken_file_without_its_package_says_what_to_install(tmp_path):
    if importlib.util.find_spec("mistral_common"):
        pytest.skip("mistral-common is installed")
    (tmp_path / "tekken.json").write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "mistral"}')
    with pytest.raises(ModelError, match="pip install mistral-common"):
        _ = HuggingFaceTokenizer(ModelFiles("mine", tmp_path)).bos_id
