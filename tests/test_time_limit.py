"""A test that hangs fails by its name, also where hypothesis calls it."""

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
