import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from evalsuite.requests.rolling import encode_rolling
from tests.engine.tiny import WordTokenizer

TEXT = st.text("abcdefg ", min_size=1, max_size=60)


def windows(tokenizer, text, window, stride=None):
    [found] = encode_rolling(tokenizer, [text], "never", window, stride=stride)
    return [(list(one.request.context), list(one.request.continuation)) for one in found]


@given(TEXT, st.integers(1, 20), st.integers(1, 20))
def test_windows_with_more_context_are_those_of_lm_eval_s_context_length(text, window, stride):
    stride = min(stride, window)
    tokenizer = WordTokenizer(bos="<s>")
    ids = tokenizer._ids(text)
    theirs = get_rolling_token_windows(ids, tokenizer.bos_id, min(window, len(ids)), 1)
    if len(ids) > window:
        theirs = get_rolling_token_windows(ids, tokenizer.bos_id, window, window - stride + 1)
    assert windows(tokenizer, text, window, stride) == [
        tuple(map(list, make_disjoint_window(one))) for one in theirs
    ]


@given(TEXT, st.integers(1, 20), st.integers(1, 30))
def test_every_token_is_scored_once_with_as_much_context_as_fits(text, window, stride):
    tokenizer = WordTokenizer(bos="<s>")
    found = windows(tokenizer, text, window, stride)
    assert [token for _, scored in found for token in scored] == tokenizer._ids(text)
    sizes = [len(context) + len(scored) - 1 for context, scored in found]
    assert max(sizes) <= window
    assert all(size == sizes[0] for size in sizes[:-1])
    assert all(len(scored) <= stride for _, scored in found[1:])


@pytest.mark.parametrize("stride", [None, 48, 500])
def test_a_stride_of_the_whole_window_is_lm_eval_s_rule(stride):
    tokenizer = WordTokenizer(bos="<s>")
    assert windows(tokenizer, "abc" * 50, 48, stride) == windows(tokenizer, "abc" * 50, 48)
