"""Responses files: what a line may say, and one sentence for each that says something else."""

import pytest

from evalsuite.errors import UserError
from evalsuite.runs.responses_file import ResponseLine, read_responses


@pytest.fixture
def read(tmp_path):
    def call(text: str | bytes) -> list[ResponseLine]:
        file = tmp_path / "r.jsonl"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_responses(file)

    return call


def test_lines_keep_their_order_and_numbers(read):
    lines = read(
        '{"doc": 3, "text": "a"}\n\n{"doc": 3, "texts": ["b", "c"]}\r\n{"text": "\u2028", "gold": 18}\n'
    )
    assert lines == [
        ResponseLine(1, 3, ("a",), False),
        ResponseLine(3, 3, ("b", "c"), True),
        ResponseLine(4, None, ("\u2028",), False, ("18",)),
    ]


def test_gold_may_be_several_forms(read):
    [line] = read('{"doc": 0, "text": "x", "gold": ["a", 2.5]}')
    assert line.gold == ("a", "2.5")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ('"text"', "a line must be an object"),
        ('{"doc": 0, "txt": "a"}', "unknown key 'txt'; the keys are doc, text, texts, gold"),
        ('{"doc": 0}', "give either 'text' or 'texts'"),
        ('{"doc": 0, "text": "a", "texts": ["b"]}', "give either 'text' or 'texts'"),
        ('{"doc": 0, "text": null}', "'text' must be a string"),
        ('{"doc": 0, "texts": []}', "a list of at least one"),
        ('{"doc": 0, "texts": "ab"}', "a list of at least one"),
        ('{"doc": -1, "text": "a"}', "whole number from 0"),
        ('{"doc": true, "text": "a"}', "whole number from 0"),
        ('{"doc": "0", "text": "a"}', "whole number from 0"),
        ('{"text": "a"}', "'doc' is missing"),
        ('{"doc": 0, "text": "a", "gold": null}', "'gold' must be the gold answer"),
        ('{"doc": 0, "text": "a", "gold": []}', "'gold' must be the gold answer"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(read, line, said):
    with pytest.raises(UserError, match=r"r\.jsonl, line 2: .*" + said) as error:
        read('{"doc": 0, "text": "fine"}\n' + line + "\n")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("content", "said"), [("\n \n", "holds no responses"), (b'{"text": "\xff"}', "not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_says_why(read, content, said):
    with pytest.raises(UserError, match=said):
        read(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.jsonl cannot be read: No such file"):
        read_responses(tmp_path / "nothing.jsonl")
