import pytest

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
