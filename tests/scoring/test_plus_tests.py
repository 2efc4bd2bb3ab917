"""What a careful person calls the same result, and the scripts that ask for it."""

import math
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UserError
from evalsuite.scoring.plus_check import agrees_on_all, is_right, same
from evalsuite.scoring.plus_tests import compared_script, published_entry_point

NAN = math.nan
Pair = tuple[str, object, object]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (1, 1.0),
        (True, 1),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (0.1 + 0.2, 0.3),
        (3, 3.0000000000000004),
        ([0.1 + 0.2, "a"], [0.3, "a"]),
        ((1, [2.0000000001]), (1, [2.0])),
        ({"a": 0.1 + 0.2}, {"a": 0.3}),
        (Counter("aab"), {"a": 2, "b": 1}),
        ({1, 2}, frozenset({2, 1})),
        (NAN, NAN),
        ([NAN], [NAN]),
        (math.inf, math.inf),
        (1 + 2.0000000001j, 1 + 2j),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0000000001])),
        (None, None),
        (10**400, 10**400),
    ],
)
def test_what_is_the_same(result, expected):
    assert same(result, expected, 0)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ([], 3.0),
        (0.0, []),
        (-1, []),
        ([1.0], 1.0),
        (1.0, [1.0]),
        ([], [1.0]),
        ([1.0, 2.0], [1.0]),
        ((1, 2), [1, 2]),
        ([1, 2], (1, 2)),
        ([[1, 2]], [(1, 2)]),
        (np.array([]), [1.0]),
        (np.array([]), 1.0),
        (np.array([1.0]), [1.0]),
        (np.array([1.0]), 1.0),
        ("1", 1),
        (1, "1"),
        (None, 0),
        (None, False),
        ([], {}),
        (set(), []),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"b": 1}, {"a": 1}),
        (10**9 + 1, 10**9),
        (4.9999999999, 5),
        (True, 1.0000000001),
        (NAN, 1.0),
        (1.0, NAN),
        (math.inf, 1e308),
        (10**400, 1.0),
        (1 + 0j, 1.0000000001),
        (range(3), [0, 1, 2]),
        ("ab", ["a", "b"]),
        (OrderedDict([(1, 2), (3, 4)]), OrderedDict([(3, 4), (1, 2)])),
    ],
)
def test_what_is_not_the_same(result, expected):
    assert not same(result, expected, 0)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_is_the_same_as_itself_and_in_no_list(value):
    assert same(value, value, 0)
    assert not same([value], value, 0)
    assert not same(value, [value], 0)


def test_a_tolerance_of_the_problem_holds_for_its_integers_too():
    assert same(4.99999, 5, 1e-4)
    assert not same(4.99999, 5, 1e-6)
    assert not same(10**9 + 50, 10**9, 1e-4)


def test_calls_do_not_see_what_others_did_to_their_arguments():
    def empties(items):
        items.clear()
        return 3

    agrees_on_all(empties, lambda items: len(items), [[[1, 2, 3]]], 0.0, "")
    with pytest.raises(AssertionError, match="call 1: 3 is not 2"):
        agrees_on_all(empties, lambda items: len(items), [[[1, 2]]], 0.0, "")
    shared = [4, 5, 6]
    agrees_on_all(empties, [3, 3], [[shared], [shared]], 0.0, "")


@pytest.mark.parametrize(
    ("rule", "arguments", "right", "wrong"),
    [
        ("a_root", [[-2.0, 1.0]], [2, 2.0, np.float64(2)], [3.0, True, None, NAN, 2 + 0j, [2.0]]),
        ("found_or_not", ["a"], [True, 1, "found"], [False, None, 0]),
        ("equal_sets", [], [[1, 2, 2], (2, 1), {1, 2}], [[1], "12", {1: 1, 2: 2}]),
        ("digits_apart", [1, 32], [4], [3, "4", [4]]),
    ],
)
def test_rules_of_single_problems(rule, arguments, right, wrong):
    expected = {"a_root": 2.0, "found_or_not": True, "equal_sets": (1, 2), "digits_apart": 4}[rule]
    assert all(is_right(one, expected, arguments, 1e-4, rule) for one in right)
    assert not any(is_right(one, expected, arguments, 1e-4, rule) for one in wrong)


def test_what_the_hub_compares_with_is_replaced_and_what_it_needs_is_kept():
    published = (
        "import numpy as np\n\ndef is_floats(x) -> bool:\n    return True\n\n\ndef assertion(out, exp, "
        "atol):\n    pass\n\n\nfrom math import pi\ndef ref_func(x):\n    return x * pi\n\ninputs = [[1], "
        "[2]]\nfor i, inp in enumerate(inputs):\n    assertion(circle(*inp), ref_func(*inp), 0.0001)\n"
    )
    assert published_entry_point(published) == "circle"
    script = compared_script(published, "circle")
    assert "def ref_func" in script
    assert "def is_floats" not in script
    assert "def assertion" not in script
    assert script.endswith("agrees_on_all(circle, ref_func, [[1], [2]], 0.0001, '')")
    exec(script, {"circle": lambda x: x * 3.14159265})
    with pytest.raises(AssertionError):
        exec(script, {"circle": lambda x: []})


def test_a_plus_test_of_another_form_is_refused_with_a_sentence():
    with pytest.raises(UserError, match="does not have the form"):
        compared_script("assert f(1) == 2\n", "f")
