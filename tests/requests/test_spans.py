"""Encodings of whole texts and of pieces, and the BOS token of documents."""

import pytest

from evalsuite.errors import LacksToken
from evalsuite.requests.spans import encode_pieces, encode_wholes
from evalsuite.requests.token_ids import TextEncoder, begin_id
from evalsuite.types import ScoreRequest
from tests.engine.tiny import WordTokenizer

BOS = "<|endoftext|>"


def requests(found):
    return [one.request for one in found]


def wholes(tokenizer, *pairs, bos="never"):
    [found] = encode_wholes(tokenizer, [pairs], bos)
    return found


def test_choices_are_scored_from_the_first_token_that_differs():
    tokenizer = WordTokenizer(" the cat| the")
    found = wholes(tokenizer, ("see", " the cat"), ("see", " the dog"), ("see", " the dot"))
    ids = tokenizer._ids
    assert requests(found) == [
        ScoreRequest(tuple(ids("see")), tuple(ids(" the cat"))),
        ScoreRequest(tuple(ids("see")), tuple(ids(" the dog"))),
        ScoreRequest(tuple(ids("see")), tuple(ids(" the dot"))),
    ]
    found = wholes(tokenizer, ("see", " the dog"), ("see", " the dot"))
    assert requests(found)[0] == ScoreRequest(tuple(ids("see the do")), tuple(ids("g")))


def test_a_token_across_the_join_is_scored_whole():
    tokenizer = WordTokenizer("e the|e")
    found = wholes(tokenizer, ("se", " the"), ("se", " a"))
    assert requests(found) == [
        ScoreRequest(tuple(tokenizer._ids("s")), tuple(tokenizer._ids("e the"))),
        ScoreRequest(tuple(tokenizer._ids("s")), tuple(tokenizer._ids("e a"))),
    ]


def test_several_contexts_are_scored_over_their_common_end():
    tokenizer = WordTokenizer("", bos=BOS)
    found = wholes(tokenizer, ("Ann is", " so"), ("Bob was", " so"), bos="always")
    ids = tokenizer._ids
    assert requests(found) == [
        ScoreRequest((1, *ids("Ann i")), tuple(ids("s so"))),
        ScoreRequest((1, *ids("Bob wa")), tuple(ids("s so"))),
    ]


def test_a_single_continuation_is_what_follows_the_tokens_of_its_context():
    tokenizer = WordTokenizer("ab|bc")
    assert requests(wholes(tokenizer, ("x ", " yz"))) == [
        ScoreRequest(tuple(tokenizer._ids("x ")), tuple(tokenizer._ids(" yz")))
    ]
    assert "nanochat's evaluator stops" in wholes(tokenizer, ("xa", "b"))


@pytest.mark.parametrize(
    "pairs", [[("x", "a"), ("x", "ab")], [("x", "a"), ("x", "a")], [("", "a"), ("", "b")]]
)
def test_a_choice_without_a_token_of_its_own_is_not_scored(pairs):
    assert "no token is left" in wholes(WordTokenizer(), *pairs)


def test_one_document_that_fails_leaves_the_others():
    tokenizer = WordTokenizer("ab")
    first, second = encode_wholes(tokenizer, [[("xa", "b")], [("x", "c")]], "never")
    assert isinstance(first, str)
    assert len(second) == 1


class Marked(WordTokenizer):
    """With special tokens besides BOS."""

    special_texts = {1: "<s>", 7: "<|endoftext|>", 8: "<|bos|>"}  # noqa: RUF012


def test_the_document_token_is_nanochats_before_the_tokenizers_own():
    tokenizer = Marked("", bos="<s>")
    assert begin_id(tokenizer, "document") == 8
    assert begin_id(tokenizer, "always") == 1
    assert TextEncoder(tokenizer, "document").ids(["a"]) == {"a": (8, *tokenizer._ids("a"))}
    tokenizer.special_texts = {7: "<|endoftext|>"}
    assert begin_id(tokenizer, "document") == 7
    tokenizer.special_texts = {1: "<s>"}
    assert begin_id(tokenizer, "document") == 1


def test_a_tokenizer_without_any_is_refused():
    tokenizer = Marked("")
    tokenizer.special_texts = {}
    with pytest.raises(LacksToken):
        TextEncoder(tokenizer, "document").ids(["a"])


def pieces(tokenizer, pairs, preamble, bos="tokenizer"):
    [found] = encode_pieces(tokenizer, [pairs], [preamble], bos)
    return found


def test_pieces_are_encoded_apart():
    tokenizer = WordTokenizer("t\nq|q c| a", bos="<s>", adds_bos=True)
    ids = tokenizer._ids
    [request] = requests(pieces(tokenizer, [("shot\nq", " c")], 4))
    assert request == ScoreRequest((1, *ids("shot"), *ids("\nq")), tuple(ids(" c")))


def test_without_shots_the_question_has_the_tokens_that_the_tokenizer_adds():
    tokenizer = WordTokenizer(" a", bos="<s>", adds_bos=True, appends=(2,))
    [request] = requests(pieces(tokenizer, [("q", " c")], 0))
    assert request.context == (1, *tokenizer._ids("q"))
    [request] = requests(pieces(WordTokenizer(" a"), [("q", " c")], 0))
    assert request.context == tuple(WordTokenizer("")._ids("q"))


@pytest.mark.parametrize(
    ("words", "written", "scored"),
    [
        (" a", " c", " c"),
        (" a", "  c", " c"),
        ("", " c", "c"),
        ("", "  c", " c"),
    ],
)
def test_the_leading_blank_depends_on_the_tokenizer(words, written, scored):
    tokenizer = WordTokenizer(words)
    [request] = requests(pieces(tokenizer, [("q", written)], 0))
    assert request.continuation == tuple(tokenizer._ids(scored))


def test_an_empty_piece_is_not_scored():
    assert pieces(WordTokenizer(), [("q", " ")], 0) == "a context or a continuation encodes to no token"
