import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.requests.token_bytes import token_bytes
from tests.engine.tiny import WordTokenizer
from tests.runs.texts import TEXTS, TOKENIZERS


class WithOffsets(WordTokenizer):
    """Tells where its words are."""

    def offsets(self, text):
        ids, spans, start = self._ids(text), [], 0
        for token in ids:
            end = start + len(self.decode([token]))
            spans.append((start, end))
            start = end
        return ids, spans


class Scripted:
    def __init__(self, ids, spans):
        self.answer = (ids, spans)

    def offsets(self, text):
        return self.answer


@given(st.text("abcéß ", min_size=1, max_size=30))
def test_each_token_has_the_bytes_of_its_characters(text):
    tokenizer = WithOffsets("ab|éß|c a")
    ids = tuple(tokenizer._ids(text))
    assert token_bytes(tokenizer, text, ids) == tuple(len(tokenizer.decode([one]).encode()) for one in ids)


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_a_real_tokenizer_are_all_of_the_text(name, text, tmp_path):
    TOKENIZERS[name]().save_pretrained(tmp_path)
    from evalsuite.checkpoints import ModelFiles

    tokenizer = HuggingFaceTokenizer(ModelFiles(name, tmp_path))
    [ids] = tokenizer.encode([TEXTS[text]], special_tokens=True)
    found = token_bytes(tokenizer, TEXTS[text], tuple(ids))
    assert len(found) == len(ids)
    assert sum(found) == len(TEXTS[text].encode())
    assert min(found) >= 0
    assert max(found) < 40


def test_tokens_of_one_character_and_added_ones_have_no_bytes_of_their_own():
    two_halves = Scripted([5, 6, 7], [(0, 1), (0, 1), (1, 2)])
    assert token_bytes(two_halves, "éa", (0, 5, 6, 7)) == (0, 2, 0, 1)


def test_dropped_characters_belong_to_the_next_token_and_at_the_end_to_the_last():
    assert token_bytes(Scripted([5, 6], [(1, 2), (3, 4)]), "xaxbx", (5, 6)) == (2, 3)


def test_a_tokenizer_that_does_not_tell_leaves_one_span_of_the_whole_text():
    class Silent:
        def offsets(self, text):
            return None

    assert token_bytes(Silent(), "abc", (1, 2, 3)) == (3, 0, 0)
    assert token_bytes(Scripted([9], [(0, 3)]), "abc", (1, 2)) == (3, 0)
