"""A tokenizer without the weights of its model."""

import pytest

from evalsuite.checkpoints.locate_tokenizer import resolve_tokenizer
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError
from tests.engine.tiny import byte_tokenizer


def test_a_folder_with_tokenizer_files_is_enough(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    files = resolve_tokenizer(str(tmp_path))
    assert HuggingFaceTokenizer(files).encode(["ab"], special_tokens=False) != [[]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./nowhere", "Model folder or file ./nowhere does not exist."),
        ("nobody/nothing", "The tokenizer 'nobody/nothing' could not be found or downloaded"),
        ("", "No model given"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(name, said):
    with pytest.raises(ModelError) as caught:
        resolve_tokenizer(name)
    assert str(caught.value).startswith(said)


def test_an_empty_folder_has_none(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve_tokenizer(str(tmp_path))
