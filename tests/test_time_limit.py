"""A test that hangs fails by its name, also where hypothesis calls it; no test pays for others' objects."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.timeout(1)
def test_what_hangs_is_ended_and_not_called_again():
    calls = 0

    @given(st.integers())
    def hangs(_):
        nonlocal calls
        calls += 1
        while True:
            pass

    with pytest.raises(BaseException, match="no end within 1 s"):
        hangs()
    assert calls == 1


def test_full_garbage_collections_do_not_look_at_what_was_there_before_the_first_test():
    assert gc.get_freeze_count() > 10_000
