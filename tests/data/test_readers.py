import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalsuite.data.readers import read_file
from evalsuite.errors import DataError
from tests.data.tiny_mirror import QUESTIONS

COLUMNS = ("question", "answer")
EXPECTED = [{column: row[column] for column in COLUMNS} for row in QUESTIONS]
LINES = "".join(json.dumps(row) + "\n" for row in QUESTIONS)


def write_parquet(path):
    pq.write_table(pa.Table.from_pylist(QUESTIONS), path)


def write_arrow_stream(path):
    table = pa.Table.from_pylist(QUESTIONS)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def write_arrow_file(path):
    table = pa.Table.from_pylist(QUESTIONS)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "rows.parquet": write_parquet,
    "stream.arrow": write_arrow_stream,
    "file.arrow": write_arrow_file,
    "rows.jsonl": lambda path: path.write_text(LINES + "\n", "utf-8"),
    "rows.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES.encode())),
    "rows.csv": lambda path: path.write_text(
        "question,answer\n" + "".join(f'"{row["question"]}",{row["answer"]}\n' for row in EXPECTED), "utf-8"
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_rows(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert read_file(tmp_path / name, COLUMNS) == EXPECTED


@pytest.mark.parametrize("name", ["rows.parquet", "stream.arrow", "file.arrow", "rows.jsonl.gz"])
def test_a_truncated_file_is_named(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=f"{name} cannot be read and is probably truncated or damaged"):
        read_file(path, COLUMNS)


@pytest.mark.parametrize("name", WRITERS)
def test_a_renamed_column_is_named_with_those_there_and_the_nearest(tmp_path, name):
    WRITERS[name](tmp_path / name)
    with pytest.raises(
        DataError, match=r"Column 'answers' is missing .* Was it renamed to 'answer'\?"
    ) as error:
        read_file(tmp_path / name, ("question", "answers"))
    assert "question" in str(error.value)


def test_a_column_like_no_other_gets_no_suggestion(tmp_path):
    write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError) as error:
        read_file(tmp_path / "rows.parquet", ("zzz",))
    assert "renamed" not in str(error.value)


def test_a_damaged_line_is_named_by_its_number(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "a"}\n{"question": \n', "utf-8")
    with pytest.raises(DataError, match=r"Line 2 of .*rows.jsonl is not JSON"):
        read_file(tmp_path / "rows.jsonl", ("question",))


def test_a_key_that_one_line_lacks_is_none_there(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"q": "a", "hint": "h"}\n{"q": "b"}\n', "utf-8")
    assert read_file(tmp_path / "rows.jsonl", ("q", "hint"))[1] == {"q": "b", "hint": None}


def test_csv_cells_may_hold_line_breaks_and_dates_stay_text(tmp_path):
    (tmp_path / "rows.csv").write_text('q,day,n\n"two\nlines",2024-01-31,7\n', "utf-8")
    assert read_file(tmp_path / "rows.csv", ("q", "day", "n")) == [
        {"q": "two\nlines", "day": "2024-01-31", "n": 7}
    ]


def test_a_missing_file_and_an_unknown_kind_are_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_file(tmp_path / "none.jsonl", ("q",))
    with pytest.raises(DataError, match=r"rows\.xlsx has an unknown format"):
        read_file(tmp_path / "rows.xlsx", ("q",))
