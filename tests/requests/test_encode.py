import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import ModelError
from evalsuite.requests.encode import encode_contexts, encode_documents, encode_pairs
from evalsuite.requests.rolling import encode_rolling
from evalsuite.types import ScoreRequest
from tests.engine.tiny import WordTokenizer


def ids(tokenizer, text):
    return tuple(tokenizer._ids(text))


def test_the_continuation_is_what_the_whole_has_beyond_the_context():
    tokenizer = WordTokenizer("the| cat")
    (encoded,) = encode_pairs(tokenizer, [("the", " cat")], "never")
    assert encoded.request == ScoreRequest(ids(tokenizer, "the"), ids(tokenizer, " cat"))
    assert not encoded.joined


def test_trailing_whitespace_of_the_context_moves_to_the_continuation():
    tokenizer = WordTokenizer(" cat|\n\n cat")
    space, lines = encode_pairs(tokenizer, [("a ", "cat"), ("a\n\n", " cat")], "never")
    assert space.request == ScoreRequest(ids(tokenizer, "a"), ids(tokenizer, " cat"))
    assert lines.request == ScoreRequest(ids(tokenizer, "a"), (tokenizer.id_of("\n\n cat"),))


def test_a_token_across_the_join_is_sliced_as_lm_eval_does_where_the_spec_reproduces_it():
    tokenizer = WordTokenizer("ab")
    [[encoded]] = encode_documents(tokenizer, [[("xa", "bc")]], "never", "lm_eval")
    assert (encoded.joined, encoded.realigned) == (True, False)
    assert encoded.request == ScoreRequest(ids(tokenizer, "xa"), ids(tokenizer, "c"))


@pytest.mark.parametrize("encoding", ["evalsuite", "lm_eval"])
def test_choices_are_scored_from_the_last_boundary_that_all_share(encoding):
    tokenizer = WordTokenizer("ab|xx")
    pairs = [("xxa", "b"), ("xxa", "c")]
    [found] = encode_documents(tokenizer, [pairs], "never", encoding)
    assert [one.request for one in found] == [
        ScoreRequest(ids(tokenizer, "xx"), ids(tokenizer, end)) for end in ("ab", "ac")
    ]
    assert all(one.joined and one.realigned for one in found)
    assert found[0].request.context is found[1].request.context


def test_a_join_that_the_context_alone_has_in_another_place_is_a_boundary_where_all_choices_have_it():
    tokenizer = WordTokenizer(
        "bc|abc"
    )  # "ab" alone is a, b; before "c" it is one token with it, before "cd" it is not
    pairs = [("xbc", "d"), ("xbc", "e")]
    [found] = encode_documents(tokenizer, [pairs], "never")
    assert [one.request.continuation for one in found] == [ids(tokenizer, "d"), ids(tokenizer, "e")]
    assert not any(one.joined for one in found)


def test_choices_after_different_contexts_are_scored_over_one_text_or_not_at_all():
    tokenizer = WordTokenizer("s so|:x")
    [apart] = encode_documents(tokenizer, [[("Ann is", " so"), ("Bob is", " so")]], "never")
    assert [tokenizer.decode(one.request.continuation) for one in apart] == ["s so"] * 2
    [same] = encode_documents(tokenizer, [[("Ann:", "x"), ("Bob", ":x")]], "never")
    assert isinstance(same, str)
    assert "no text is common" in same


def test_a_pair_that_is_one_token_is_scored_after_the_prefix_token():
    tokenizer = WordTokenizer("ab", bos="<s>")
    (encoded,) = encode_pairs(tokenizer, [("a", "b")], "never")
    assert encoded.realigned
    assert encoded.request == ScoreRequest((1,), ids(tokenizer, "ab"))


@pytest.mark.parametrize(("bos", "prefix"), [("<s>", 1), ("", 2)])
@pytest.mark.parametrize("context", ["", "  \n"])
def test_an_empty_context_is_the_bos_token_or_else_the_eos_token(bos, prefix, context):
    tokenizer = WordTokenizer(bos=bos)
    (encoded,) = encode_pairs(tokenizer, [(context, "b")], "never")
    assert encoded.request == ScoreRequest((prefix,), ids(tokenizer, context + "b"))


def test_an_empty_context_does_not_double_the_prefix_token():
    tokenizer = WordTokenizer(bos="<s>")
    (encoded,) = encode_pairs(tokenizer, [("", "<s>b")], "never")
    assert encoded.request == ScoreRequest((1,), ids(tokenizer, "b"))


def test_an_empty_context_without_any_prefix_token_costs_its_own_document_only():
    empty, other = encode_documents(WordTokenizer(eos=False), [[("", "b")], [("a", "b")]], "never")
    assert "--prefix-token" in empty
    assert not isinstance(other, str)


def test_an_empty_context_is_the_prefix_token_that_the_user_named():
    tokenizer = WordTokenizer(eos=False)
    tokenizer.prefix_id = 99
    [[encoded]] = encode_documents(tokenizer, [[("", "b")]], "never")
    assert encoded.request == ScoreRequest((99,), ids(tokenizer, "b"))


def test_a_rolling_log_likelihood_scores_the_bos_only_as_lm_eval_does():
    tokenizer = WordTokenizer(bos="<s>", adds_bos=True)
    [[ours]] = encode_rolling(tokenizer, ["abc"], "tokenizer", None)
    assert (ours.request, ours.scores_bos) == (ScoreRequest((1,), ids(tokenizer, "abc")), False)
    [[theirs]] = encode_rolling(tokenizer, ["abc"], "tokenizer", None, "lm_eval")
    assert (theirs.request, theirs.scores_bos) == (ScoreRequest((1,), (1, *ids(tokenizer, "abc"))), True)


def test_an_empty_continuation_is_refused_by_the_end_of_its_context():
    with pytest.raises(ValueError, match="Question 7"):
        encode_pairs(WordTokenizer(), [("Question 7", "")], "never")


def test_requests_of_equal_pairs_are_equal_and_share_their_context():
    pairs = [("q", " A"), ("q", " B"), ("q", " A"), ("r", " A")]
    first, second, again, other = encode_pairs(WordTokenizer(), pairs, "never")
    assert first == again
    assert first.request.context is second.request.context
    assert first.request.continuation == other.request.continuation


def test_requests_of_one_context_share_its_ids():
    first, second = encode_pairs(WordTokenizer(), [("q", " A"), ("q", " B")], "never")
    assert first.request.context is second.request.context


def test_bos_as_the_tokenizer_does_it_is_not_added_to_a_text_that_spells_it():
    tokenizer = WordTokenizer(bos="<s>", adds_bos=True)
    assert encode_contexts(tokenizer, ["ab", "<s>ab"], "tokenizer") == [(1, *ids(tokenizer, "ab"))] * 2
    assert encode_contexts(tokenizer, ["ab"], "never") == [ids(tokenizer, "ab")]


def test_bos_always_is_added_once():
    tokenizer = WordTokenizer(bos="<s>")
    assert encode_contexts(tokenizer, ["ab", "<s>ab"], "always") == [(1, *ids(tokenizer, "ab"))] * 2
    (encoded,) = encode_pairs(tokenizer, [("ab", " c")], "always")
    assert encoded.request == ScoreRequest((1, *ids(tokenizer, "ab")), ids(tokenizer, " c"))


def test_bos_always_needs_a_bos_token():
    with pytest.raises(ModelError, match="BOS"):
        encode_contexts(WordTokenizer(), ["ab"], "always")


def test_equal_contexts_to_generate_after_share_their_ids_and_an_empty_one_is_the_prefix():
    first, empty, second = encode_contexts(WordTokenizer(), ["ab", "", "ab"], "never")
    assert first is second
    assert empty == (2,)


@given(
    st.lists(st.tuples(st.text("ab \n", max_size=6), st.text("ab \n", min_size=1, max_size=6)), max_size=6),
    st.sampled_from(["never", "tokenizer", "always"]),
)
def test_no_pair_loses_text_and_no_request_is_empty(pairs, bos):
    tokenizer = WordTokenizer("ab|ba| a|a \n", bos="<s>", adds_bos=True)
    for (context, continuation), encoded in zip(pairs, encode_pairs(tokenizer, pairs, bos), strict=True):
        request = encoded.request
        assert request.context
        assert request.continuation
        if not encoded.joined:
            assert tokenizer.decode(request.context + request.continuation) == context + continuation


TOKENIZERS = st.builds(
    WordTokenizer,
    st.lists(st.text("ab: ", min_size=2, max_size=4), max_size=6).map("|".join),
    bos=st.just("<s>"),
    adds_bos=st.booleans(),
    appends=st.sampled_from([(), (2,), (3, 2)]),
)
CONTEXTS = st.text("ab: ", max_size=6)
CHOICES = st.lists(st.text("ab: ", min_size=1, max_size=4), min_size=2, max_size=4)


def shown(tokenizer, request):
    """The text of a request, and where in it the scored part begins."""
    before, scored = tokenizer.decode(request.context), tokenizer.decode(request.continuation)
    return before + scored, len(before)


@given(TOKENIZERS, CONTEXTS, CHOICES, st.sampled_from(["never", "tokenizer", "always"]))
def test_the_choices_of_a_document_are_scored_over_the_same_text_and_nothing_appended_is(
    tokenizer, context, choices, bos
):
    [found] = encode_documents(tokenizer, [[(context, choice) for choice in choices]], bos)
    begins = {shown(tokenizer, one.request)[1] for one in found}
    assert len(begins) == 1
    assert begins.pop() <= len(context)
    for choice, one in zip(choices, found, strict=True):
        assert shown(tokenizer, one.request)[0] == context + choice
        assert not {2, 3} & {*one.request.context, *one.request.continuation}
        assert (one.request.context[0] == 1) == (
            (bos != "never" and (bos == "always" or tokenizer.adds_bos)) or one.request.context == (1,)
        )


@given(TOKENIZERS, st.tuples(CONTEXTS, CONTEXTS), st.text("ab:", min_size=1, max_size=3))
def test_two_contexts_are_compared_over_the_same_text_or_not_at_all(tokenizer, contexts, ending):
    [found] = encode_documents(tokenizer, [[(context, ending) for context in contexts]], "tokenizer")
    if isinstance(found, str):
        assert "no text is common" in found
        return
    scored = [text[begins:] for text, begins in (shown(tokenizer, one.request) for one in found)]
    assert all(text.endswith(ending) for text in scored)
    # Blanks at the end of a context are scored with the ending; the text before them has to be the same.
    assert len({text.removesuffix(ending).rstrip() for text in scored}) == 1


def test_a_context_that_is_used_up_before_the_texts_agree_is_an_error_not_a_wait():
    tokenizer = WordTokenizer(":: ", bos="<s>", adds_bos=True)
    [found] = encode_documents(tokenizer, [[("", ":"), (":: ", ":")]], "tokenizer")
    assert "no text is common" in found


@given(
    TOKENIZERS,
    st.lists(st.text("ab: ", max_size=6), max_size=4),
    st.sampled_from(["never", "tokenizer", "always"]),
)
def test_a_prompt_to_generate_after_ends_in_its_own_token(tokenizer, texts, bos):
    for text, ids_of_it in zip(texts, encode_contexts(tokenizer, texts, bos), strict=True):
        assert tokenizer.decode(ids_of_it) == text
        assert not {2, 3} & set(ids_of_it)


@given(TOKENIZERS, st.text("ab: ", min_size=1, max_size=9), st.integers(1, 5))
def test_a_rolling_text_is_scored_once_and_without_what_the_tokenizer_adds(tokenizer, text, window):
    [found] = encode_rolling(tokenizer, [text], "tokenizer", window)
    assert "".join(tokenizer.decode(one.request.continuation) for one in found) == text
    assert not {1, 2, 3} & {token for one in found for token in one.request.continuation}


def test_a_prefix_of_the_tokenizer_s_own_is_kept_whatever_the_text_begins_with():
    tokenizer = WordTokenizer(bos="<s>", adds_bos=True, appends=(1,))  # the same token before and after
    assert encode_contexts(tokenizer, ["a"], "tokenizer") == [(1, *ids(tokenizer, "a"))]
