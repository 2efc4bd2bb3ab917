import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from evalsuite.data.local_texts import LARGEST, LocalTexts, read_local_texts
from evalsuite.errors import DataError


def read(*paths, **options):
    return read_local_texts(LocalTexts(tuple(map(str, paths)), **options))


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def domains(found):
    return [(row["domain"], row["text"]) for row in found.rows]


def test_the_domain_is_the_sub_folder_or_the_file_of_many_texts_without_its_shard(tmp_path):
    (tmp_path / "books" / "old").mkdir(parents=True)
    (tmp_path / "books" / "old" / "a.txt").write_text("one")
    (tmp_path / "books" / "b.md").write_text("two")
    (tmp_path / ".hidden").write_text("no")
    lines(tmp_path / "web-00000-of-00002.jsonl", [{"text": "three"}])
    lines(tmp_path / "web-00001-of-00002.jsonl", [{"text": "four"}])
    assert domains(read(tmp_path)) == [
        ("books", "two"),
        ("books", "one"),
        ("web", "three"),
        ("web", "four"),
    ]


def test_plain_files_of_one_folder_are_one_domain_and_a_single_domain_has_no_name(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    assert domains(read(tmp_path)) == [("", "a"), ("", "b")]
    assert domains(read(tmp_path / "a.txt", tmp_path / "b.txt")) == [("a", "a"), ("b", "b")]


def test_bytes_are_read_as_they_are(tmp_path):
    content = "\ufeffa\r\nb\rc\n\n"
    (tmp_path / "a.txt").write_bytes(content.encode())
    assert read(tmp_path / "a.txt").rows == [{"text": content, "domain": ""}]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "bz2"])
def test_compressed_json_lines_have_a_field_and_a_domain_of_their_own(tmp_path, compression):
    rows = [{"content": "x", "meta": {"set": "A"}}, {"content": "y", "meta": {"set": "B"}}]
    path = tmp_path / f"d.jsonl.{ {'gzip': 'gz', 'zstd': 'zst', 'bz2': 'bz2'}[compression] }"
    with pa.CompressedOutputStream(str(path), compression) as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    assert domains(read(path, field="content", domain="meta.set")) == [("A", "x"), ("B", "y")]


def test_parquet_has_columns(tmp_path):
    table = pa.table({"text": ["x", "y", ""], "source": ["A", "B", "A"], "n": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "d.parquet")
    found = read(tmp_path / "d.parquet", domain="source")
    assert domains(found) == [("A", "x"), ("B", "y")]
    assert found.notes == (f"1 empty documents are left out (the first: Row 2 of {tmp_path}/d.parquet).",)


def test_what_is_no_text_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "a"}\n{"text": "caf\xe9"}\n')
    (tmp_path / "broken.jsonl").write_text('{"text": \n')
    (tmp_path / "list.jsonl").write_text('["a"]\n')
    lines(tmp_path / "null.jsonl", [{"text": None}])
    lines(tmp_path / "other.jsonl", [{"texts": "a"}])
    lines(tmp_path / "number.jsonl", [{"text": "a", "source": [1]}])
    parquet.write_table(pa.table({"content": ["x"]}), tmp_path / "other.parquet")
    parquet.write_table(pa.table({"text": pa.array([b"\xe9"])}), tmp_path / "bytes.parquet")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"text": "abcdefgh"}\n' * 99)[:40])
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "nothing").mkdir()
    for name, words in {
        "latin.txt": "latin.txt is not UTF-8: byte 0xe9 at position 3",
        "latin.jsonl": "Line 2 of .*latin.jsonl is not UTF-8: byte 0xe9",
        "broken.jsonl": "Line 1 of .*broken.jsonl is not JSON",
        "list.jsonl": "Line 1 of .*list.jsonl must be a JSON object",
        "null.jsonl": "Line 1 of .*null.jsonl has no text in field 'text', but None",
        "other.jsonl": "Line 1 of .*has no field 'text' .*did you mean 'texts'",
        "other.parquet": "other.parquet has no field 'text' .*did you mean 'content'",
        "bytes.parquet": "Row 0 of .*bytes.parquet has no text in field 'text', but b'",
        "cut.parquet": "cut.parquet cannot be read as Parquet",
        "cut.jsonl.gz": "cut.jsonl.gz cannot be read",
        "empty.txt": "there is no text",
        "nothing": "there is no text",
        "absent": "no such file or folder",
    }.items():
        with pytest.raises(DataError, match=words):
            read(tmp_path / name)
    with pytest.raises(DataError, match="the domain must be text"):
        read(tmp_path / "number.jsonl", domain="source")


def test_a_document_larger_than_a_tokenizer_takes_is_refused(tmp_path):
    (tmp_path / "large.txt").write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(DataError, match="split it"):
        read(tmp_path / "large.txt")
