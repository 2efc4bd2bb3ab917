"""YAML from anybody: understood, or refused in one way."""

import time
from contextlib import suppress

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.files.yaml_files import BadYaml, GivenTwice, load_yaml

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(PLAIN)
def test_what_is_plain_comes_back(value):
    assert load_yaml(yaml.safe_dump(value)) == value


SIGNS = [*"&a*b [],{}:-?!#|>'%@`1\n\t\x00", '"', "\\", "\ud800"]


@given(st.text(st.sampled_from(SIGNS)))
def test_any_text_is_understood_or_bad(text):
    with suppress(BadYaml):
        load_yaml(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "expand to more than 1,000,000 nodes"),
        ("<<: &a\n  x: *a", "refers to a node that contains it"),
        ("&a [*a]", "refers to a node that contains it"),
        ("[" * 100_000, "nested more than 100 levels"),
        ("- " * 50_000 + "a", "nested more than 100 levels"),
        ("2001-99-99", "month must be in"),
        ("? [a]\n: b", "unhashable"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("a: b: c", "mapping values"),
        (b"\xff\xfe\x00", "(?i)decode|utf|truncated"),
    ],
)
def test_what_cannot_be_built_is_bad_within_a_second(text, said):
    began = time.monotonic()
    with pytest.raises(BadYaml, match=said):
        load_yaml(text)
    assert time.monotonic() - began < 5


def test_aliases_within_reason_are_followed():
    assert load_yaml("a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}}") == {"a": [1, 2], "b": [1, 2], "c": {"d": 1}}


@given(PLAIN)
def test_keys_that_differ_are_not_taken_for_one_that_is_given_twice(value):
    assert load_yaml(yaml.safe_dump(value), unique_keys=True) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 3),
        ("a:\n  - {b: 1, c: [a, a], b: 2}\n", 2),
        ("a: {b: {c: 1}}\nd:\n  e: &x {f: 1}\n  g: *x\n  e: 1\n", 5),
    ],
)
def test_a_key_that_is_given_twice_is_found_with_its_line(text, line):
    with pytest.raises(GivenTwice) as caught:
        load_yaml(text, unique_keys=True)
    assert caught.value.line == line
    load_yaml(text)
