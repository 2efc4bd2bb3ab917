"""How long a worker may be silent."""

from evalsuite.engine.replicas.pace import AT_START, FACTOR, FIRST, LEAST, Pace


def test_nothing_is_known_before_the_first_answer():
    assert Pace().bound("score", 10**9) == FIRST


def test_the_slowest_answer_so_far_decides_and_short_parts_get_a_floor():
    pace = Pace()
    pace.took("score", 1000, 1.0)
    pace.took("score", 1000, 10.0)
    pace.took("score", 1000, 2.0)
    assert pace.bound("score", 10_000) == FACTOR * 100.0
    assert pace.bound("score", 10) == LEAST
    assert pace.bound("generate", 10_000) == FIRST


def test_what_the_user_says_holds():
    pace = Pace(7.0)
    pace.took("score", 1, 1000.0)
    assert pace.bound("score", 10**9) == pace.bound("load", 0) == 7.0
    assert pace.bound("start", 0) == AT_START
    assert Pace(100.0).bound("start", 0) == 100.0
