"""Values come out of their text as they went in: equal, of the same type, and with the same identities
inside."""

import contextlib
import datetime
import math
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.sandbox import codec

Point = namedtuple("Point", "x y")


def refuse(value):
    raise codec.Unplain(type(value).__name__)


def nothing(data):
    raise codec.MalformedMessage("an object")


def through(value):
    return codec.ValueDecoder(nothing)(codec.load(codec.dump(codec.ValueEncoder(refuse)(value))))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
)
hashable = st.recursive(
    scalars, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=4)), max_leaves=6
)
plain = st.recursive(
    hashable,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.sets(hashable, max_size=4),
        st.tuples(inner),
        st.builds(deque, st.lists(inner, max_size=3)),
        st.builds(OrderedDict, st.dictionaries(hashable, inner, max_size=3)),
    ),
    max_leaves=20,
)


def same(one, other):
    """Equal, and of equal types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=True)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@settings(deadline=None)
@given(plain)
def test_plain_values_come_back(value):
    assert same(through(value), value)


@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(10**5000),
        [1, 10**5000],
        [True, 2, 10**5000],
        [1.5, 10**5000, None],
        "\ud800",
        -0.0,
        math.inf,
        range(1, 9, 2),
        slice(1, None),
        bytearray(b"\0x"),
        Counter("aab"),
        defaultdict(list, {1: [2]}),
        Decimal("1.50"),
        Fraction(1, 3),
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
        datetime.time(1, 2),
        int,
        dict,
        type(None),
        ...,
        NotImplemented,
        {1: 2}.keys(),
        {1: 2}.items(),
        np.int64(3),
        np.float32(1.5),
        np.bool_(True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unusual_values_come_back(value):
    back = through(value)
    assert type(back) is type(value)
    assert back == value


def test_a_default_factory_comes_back():
    assert through(defaultdict(list))["missing"] == []


def test_nan_comes_back():
    assert math.isnan(through([math.nan, 10**5000])[0])


def test_arrays_come_back():
    for array in (np.arange(6).reshape(2, 3), np.array([1.5]), np.array(["a", "bc"]), np.array([])):
        back = through(array)
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert (back == array).all()


def test_a_named_tuple_keeps_its_fields():
    back = through(Point(1, [2]))
    assert back == (1, [2])
    assert back.y == [2]


def test_shared_and_cyclic_containers_stay_so():
    shared, cycle = [1], []
    cycle.append(cycle)
    left, right = through([shared, shared])
    assert left is right
    back = through(cycle)
    assert back[0] is back


def test_an_instance_of_a_subclass_travels_as_what_it_is_made_of():
    for base, content in (
        (int, 3),
        (float, 2.5),
        (str, "x"),
        (bytes, b"x"),
        (tuple, (1,)),
        (list, [1]),
        (dict, {1: 2}),
    ):
        liar = type(
            "Liar", (base,), {"__eq__": lambda *_: True, "__hash__": None, "__iter__": lambda _: iter(())}
        )
        back = through(liar(content))
        assert type(back) is base
        assert back == content


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, deque([1], maxlen=2), iter([1]), ValueError("x"), open]
)
def test_other_values_are_refused_by_name(value):
    with pytest.raises(codec.Unplain, match=type(value).__name__):
        codec.ValueEncoder(refuse)(value)


def test_a_value_that_is_certain_to_be_too_large_is_refused_before_it_is_written():
    row = (0,) * (1 << 16)
    encode = codec.ValueEncoder(refuse)
    for _ in range(codec.LARGEST // (2 * len(row))):
        encode(row)
    with pytest.raises(ValueError, match="a message of more than 64 MiB"):
        encode(row)


def test_containers_are_refilled_in_place():
    inner, counted = [1], Counter("a")
    sent = [inner, counted, {"k": inner}]
    encode = codec.ValueEncoder(refuse)
    data = encode(sent)
    decode = codec.ValueDecoder(nothing)
    received = decode(data)
    received[0].append(2)
    received[1]["b"] = 5
    received.append(received[2])

    after = codec.ValueEncoder(refuse, decode.containers)
    back = codec.ValueDecoder(nothing, encode.containers)
    back.refill(codec.load(codec.dump(after.contents())))
    value = back(codec.load(codec.dump(after(received[2]))))

    assert inner == [1, 2]
    assert counted == Counter(a=1, b=5)
    assert sent[3] is sent[2] is value
    assert sent[2]["k"] is inner


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.fixed_dictionaries(
            {
                "t": st.sampled_from(
                    [
                        "tuple",
                        "ref",
                        "dict",
                        "set",
                        "numpy",
                        "namedtuple",
                        "type",
                        "long",
                        "range",
                        "Fraction",
                        "bytes",
                    ]
                ),
                "v": inner,
            }
        ),
        st.dictionaries(st.text(max_size=2), inner, max_size=2),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_any_json_is_decoded_or_refused(data):
    with contextlib.suppress(codec.MalformedMessage):
        codec.ValueDecoder(nothing)(data)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_text_that_is_no_message_is_refused(data):
    with pytest.raises(codec.MalformedMessage):
        codec.load(data)
