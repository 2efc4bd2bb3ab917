import hashlib

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evalsuite.data import fingerprint
from evalsuite.errors import DataError
from evalsuite.types import canonical_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
rows = st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=4)


@given(rows)
def test_it_is_the_hash_of_one_canonical_json_line_per_row(rows):
    lines = "".join(f"{canonical_json(row)}\n" for row in rows)
    assert fingerprint(rows) == hashlib.sha256(lines.encode()).hexdigest()


@given(rows)
def test_the_order_of_rows_matters(rows):
    assume([canonical_json(row) for row in rows] != [canonical_json(row) for row in rows[::-1]])
    assert fingerprint(rows) != fingerprint(rows[::-1])


@given(rows)
def test_the_order_of_columns_does_not_matter(rows):
    assert fingerprint([dict(reversed(row.items())) for row in rows]) == fingerprint(rows)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.sampled_from([np.int32, np.int64]))
def test_width_of_integers_and_kind_of_sequence_do_not_matter(numbers, width):
    plain = fingerprint([{"n": numbers[0], "all": numbers}])
    assert fingerprint([{"n": width(numbers[0]), "all": tuple(numbers)}]) == plain
    assert fingerprint([{"n": numbers[0], "all": np.array(numbers, width)}]) == plain


def test_text_and_number_differ():
    assert fingerprint([{"label": "1"}]) != fingerprint([{"label": 1}])


def test_a_lone_surrogate_can_be_hashed():
    assert len(fingerprint([{"text": "\ud800"}])) == 64


def test_a_value_that_is_no_json_is_an_error_that_names_its_type():
    with pytest.raises(DataError, match="bytes"):
        fingerprint([{"image": b"\x89PNG"}])
