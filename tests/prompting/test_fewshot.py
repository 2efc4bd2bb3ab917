from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import DataError
from evalsuite.prompting.fewshot import draw_shots
from evalsuite.prompting.shots import Shots

POOL = [{"ask": f"question {number}"} for number in range(12)]
DOCUMENTS = [{"ask": f"document {number}"} for number in range(5)]


def shots(count: int, draw: str, **fields) -> Shots:
    return Shots(count=count, split="train", draw=draw, **fields)


def test_first_shows_the_same_rows_before_every_document():
    assert draw_shots(shots(2, "first"), DOCUMENTS, POOL) == [POOL[:2]] * 5


def test_fixed_shows_the_listed_rows_in_their_order():
    assert draw_shots(shots(2, "fixed", rows=(7, 3, 1)), DOCUMENTS, POOL) == [[POOL[7], POOL[3]]] * 5


@given(count=st.integers(1, 11), seed=st.integers(0, 5000), spare=st.booleans())
def test_seeded_is_one_stream_of_samples_in_document_order(count, seed, spare):
    stream = Random(seed)
    expected = [stream.sample(POOL, count + spare)[:count] for _ in DOCUMENTS]
    assert draw_shots(shots(count, "seeded", seed=seed, spare=spare), DOCUMENTS, POOL) == expected


@given(st.integers(1, 11), st.lists(st.integers(0, 11), min_size=1, max_size=30))
def test_with_the_spare_row_no_document_is_its_own_shot_and_none_is_missing(count, places):
    documents = [POOL[place] for place in places]
    for document, rows in zip(
        documents, draw_shots(shots(count, "seeded", spare=True), documents, POOL), strict=True
    ):
        assert document not in rows
        assert len(rows) == count


def test_without_the_spare_row_a_document_equal_to_a_pool_row_is_kept():
    drawn = draw_shots(shots(12, "seeded"), [POOL[0]], POOL)
    assert POOL[0] in drawn[0]


@pytest.mark.parametrize("how", [shots(3, "first"), shots(3, "seeded"), shots(3, "fixed", rows=(0, 1, 2))])
def test_a_document_of_the_pool_s_own_split_is_never_its_own_shot(how):
    for document, rows in zip(POOL, draw_shots(how, POOL, POOL, same_split=True), strict=True):
        assert document not in rows
        assert len(rows) >= 2


@pytest.mark.parametrize("draw", ["first", "seeded"])
def test_on_the_pool_s_own_split_the_number_of_shots_is_kept(draw):
    assert {len(rows) for rows in draw_shots(shots(3, draw), POOL, POOL, same_split=True)} == {3}


def test_no_shots_need_no_pool():
    assert draw_shots(shots(0, "seeded", spare=True), DOCUMENTS, POOL[:1]) == [[]] * 5
    assert draw_shots(shots(0, "first"), DOCUMENTS, [], same_split=True) == [[]] * 5


@pytest.mark.parametrize(
    ("how", "needed"),
    [
        (shots(13, "first"), 13),
        (shots(13, "seeded"), 13),
        (shots(12, "seeded", spare=True), 13),
        (shots(1, "fixed", rows=(12,)), 13),
    ],
)
def test_a_pool_that_is_too_small_is_an_error_with_both_numbers(how, needed):
    with pytest.raises(DataError, match=rf"need {needed} rows of split 'train'; it has 12"):
        draw_shots(how, DOCUMENTS, POOL)


@given(
    st.integers(1, 4),
    st.lists(st.integers(0, 11), min_size=4, max_size=7, unique=True),
    st.lists(st.integers(0, 11), min_size=1, max_size=12),
)
def test_a_spare_row_stands_in_for_a_fixed_shot_that_is_the_document(count, rows, places):
    documents = [POOL[place] for place in places]
    drawn = draw_shots(shots(count, "fixed", rows=tuple(rows)), documents, POOL, same_split=True)
    for document, found in zip(documents, drawn, strict=True):
        assert len(found) == count
        assert document not in found
        kept = [POOL[row] for row in rows[:count] if POOL[row] != document]
        assert found[: len(kept)] == kept
        assert all(row in [POOL[at] for at in rows] for row in found) or len(rows) == count


def test_a_document_that_is_in_the_pool_twice_still_sees_as_many_shots():
    pool = [POOL[0], POOL[0], POOL[1], POOL[2]]
    for how in ({"draw": "first"}, {"draw": "fixed", "rows": (0, 1)}, {"draw": "seeded", "seed": 3}):
        [found] = draw_shots(Shots(count=2, split="test", **how), [POOL[0]], pool, same_split=True)
        assert len(found) == 2
        assert POOL[0] not in found


@given(count=st.integers(1, 11), seed=st.integers(0, 5000))
def test_by_document_is_a_sample_of_the_other_documents_with_a_seed_for_each(count, seed):
    how = shots(count, "by_document", seed=seed)
    for place, rows in enumerate(draw_shots(how, POOL, POOL, same_split=True)):
        others = [row for number, row in enumerate(POOL) if number != place]
        assert rows == Random(seed + place).sample(others, count)


@given(count=st.integers(1, 11), size=st.integers(12, 60))
def test_llm_foundry_replaces_the_document_itself_by_single_draws(count, size):
    pool = [{"ask": number} for number in range(size)]
    stream = Random(1234)
    for place, rows in enumerate(draw_shots(shots(count, "llm_foundry"), pool, pool, same_split=True)):
        drawn = set(stream.sample(range(size), count))
        if place in drawn:
            drawn.remove(place)
            while (other := stream.choice(range(size))) in drawn or other == place:
                pass
            drawn.add(other)
        assert [row["ask"] for row in rows] == list(drawn)


@pytest.mark.parametrize("draw", ["by_document", "llm_foundry"])
def test_draws_of_other_documents_need_the_evaluated_split_and_enough_rows(draw):
    with pytest.raises(DataError, match="takes shots from the evaluated split"):
        draw_shots(shots(3, draw), DOCUMENTS, POOL)
    with pytest.raises(DataError, match="5 shots need 6 rows"):
        draw_shots(shots(5, draw), DOCUMENTS, DOCUMENTS, same_split=True)
