from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.stops import StopFinder, cut_at_stop, stops_in_tail, tail_tokens


def decode(ids):
    return bytes(ids).decode("utf-8", errors="replace")


def test_the_first_stop_string_in_the_text_cuts_it_whichever_it_is():
    assert cut_at_stop("a\n\nQ: b", ("Q:", "\n\n")) == "a"
    assert cut_at_stop("abc", ("x",)) == "abc"
    assert cut_at_stop("abc", ()) == "abc"


def test_the_tail_is_as_long_as_the_longest_stop_in_bytes():
    assert tail_tokens(("é", "abc")) == tail_tokens(("abc",))
    assert tail_tokens(("éé",)) > tail_tokens(("éa",))


def test_only_the_tail_is_decoded():
    seen = []
    ids = list(b"x" * 10_000)
    assert not stops_in_tail(ids, ("\n",), lambda tail: seen.append(len(tail)) or decode(tail))
    assert seen == [tail_tokens(("\n",))]


def test_without_stop_strings_nothing_is_decoded():
    assert not stops_in_tail([1, 2], (), lambda tail: 1 / 0)


@given(
    st.text("ab\né", max_size=30), st.lists(st.text("ab\né", min_size=1, max_size=4), max_size=3).map(tuple)
)
def test_a_growing_text_stops_at_the_token_that_completes_a_stop_string(text, stops):
    ids = text.encode()
    for length in range(1, len(ids) + 1):
        found = stops_in_tail(ids[:length], stops, decode)
        assert found == any(stop in decode(ids[:length]) for stop in stops)
        if found:
            return


def test_a_tail_is_decoded_only_where_the_newest_token_may_complete_a_stop():
    seen = []
    finder = StopFinder(("Q:", ""), lambda ids: seen.append(len(ids)) or decode(ids))
    text = b"abcQ abc" * 50
    assert not any(finder.completed_by_last(text[:length]) for length in range(1, len(text) + 1))
    assert seen == [1] * len(set(text))
    assert finder.completed_by_last(b"Q:")
    assert not StopFinder((), lambda ids: 1 / 0).completed_by_last(b"Q:")


def test_a_blank_that_the_decoder_strips_from_a_token_on_its_own_is_not_missed():
    words = {1: " Q", 2: " "}
    finder = StopFinder(("Q ",), lambda ids: "".join(words[one] for one in ids).removeprefix(" "))
    assert finder.completed_by_last([1, 2])


@given(
    st.text("ab\né", max_size=30), st.lists(st.text("ab\né", min_size=1, max_size=4), max_size=3).map(tuple)
)
def test_the_finder_stops_where_every_tail_would_be_decoded(text, stops):
    ids, finder = text.encode(), StopFinder(stops, decode)
    for length in range(1, len(ids) + 1):
        found = finder.completed_by_last(ids[:length])
        assert found == stops_in_tail(ids[:length], stops, decode)
        if found:
            return
