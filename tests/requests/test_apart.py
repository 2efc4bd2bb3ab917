"""Context and continuation are each encoded alone."""

from evalsuite.requests.apart import encode_apart
from evalsuite.types import ScoreRequest
from tests.engine.tiny import WordTokenizer


def ids(tokenizer, text):
    return tuple(tokenizer._ids(text))


def test_a_token_never_spans_context_and_continuation_and_no_blank_moves():
    tokenizer = WordTokenizer("ab| a|the ")
    [[first, second]] = encode_apart(tokenizer, [[("xa", "bc"), ("the ", "a")]], "never")
    assert first.request == ScoreRequest(ids(tokenizer, "xa"), ids(tokenizer, "bc"))
    assert second.request == ScoreRequest(ids(tokenizer, "the "), ids(tokenizer, "a"))


def test_only_the_context_has_the_bos_token():
    tokenizer = WordTokenizer("ab", bos="<s>", adds_bos=True, appends=(2,))
    [[encoded]] = encode_apart(tokenizer, [[("x", "y")]], "tokenizer")
    assert encoded.request == ScoreRequest((1, *ids(tokenizer, "x")), ids(tokenizer, "y"))


def test_contexts_that_differ_are_each_their_continuations():
    tokenizer = WordTokenizer("ab")
    [found] = encode_apart(tokenizer, [[("x", "z"), ("y", "z")]], "never")
    assert [one.request.context for one in found] == [ids(tokenizer, "x"), ids(tokenizer, "y")]


def test_an_empty_context_is_the_prefix_token_and_an_empty_continuation_a_problem():
    tokenizer = WordTokenizer("ab")
    [[encoded]] = encode_apart(tokenizer, [[("", "z")]], "never")
    assert encoded.request.context == (tokenizer.eos_id,)
    good, bad = encode_apart(tokenizer, [[("x", "z")], [("x", "z"), ("x", "")]], "never")
    assert isinstance(good, list)
    assert bad == "The continuation '' encodes to no token."
