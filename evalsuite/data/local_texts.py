"""Reads the user's own texts: plain files, JSON lines or Parquet, by domain."""

import difflib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from evalsuite.data.found import FoundSplit
from evalsuite.errors import DataError

TEXT, DOMAIN = "text", "domain"
"""The columns of the rows."""
LARGEST = 64 * 2**20
"""Most bytes of one document; a tokenizer takes about forty times as much memory."""
_LINES = (".jsonl", ".json", ".ndjson")
_COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_SHARD = re.compile(r"[-_.]?\d+[-_.]of[-_.]\d+$")
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LocalTexts:
    """Where the texts are."""

    paths: tuple[str, ...]
    """Files, or folders whose files are read in the order of their names."""
    field: str = TEXT
    """Field or column of the text in JSON lines and Parquet."""
    domain: str | None = None
    """Field or column of a text's domain; None: the sub-folder, else the file's name."""


@dataclass(frozen=True, slots=True)
class _Document:
    text: object
    domain: object
    where: str


def read_local_texts(texts: LocalTexts) -> FoundSplit:
    """Every text with its domain, in the order of the files; empty texts are left out, with a note.

    The domain is empty if all texts have the same. Bytes are read as they are: no line end is changed.

    Raises:
        DataError: a path does not exist; a file is not UTF-8, is damaged or lacks a field; there is no text.
    """
    rows, empty, first = list[dict[str, Any]](), 0, ""
    for found in _documents(texts):
        if not isinstance(found.text, str):
            raise DataError(f"{found.where} has no text in field '{texts.field}', but {found.text!r:.40}.")
        if not isinstance(found.domain, str):
            raise DataError(f"{found.where}: the domain must be text, but is {found.domain!r:.40}.")
        if (size := len(found.text)) > LARGEST:
            raise DataError(
                f"{found.where} has {size:,} characters in one document, more than the {LARGEST:,} that "
                "evalsuite tokenizes at once; split it."
            )
        if not found.text:
            empty, first = empty + 1, first or found.where
            continue
        rows.append({TEXT: found.text, DOMAIN: found.domain})
    shown = ", ".join(texts.paths)
    if not rows:
        raise DataError(f"--text {shown}: there is no text.")
    if len({row[DOMAIN] for row in rows}) == 1:
        for row in rows:
            row[DOMAIN] = ""
    notes = (f"{empty} empty documents are left out (the first: {first}).",) if empty else ()
    return FoundSplit(rows, f"files {shown}", notes)


def _documents(texts: LocalTexts) -> Iterator[_Document]:
    for name in texts.paths:
        root = Path(name)
        if not root.exists():
            raise DataError(f"--text {name}: no such file or folder.")
        files = sorted(_files_in(root)) if root.is_dir() else [root]
        for file in files:
            yield from _documents_of(file, texts, _domain(file, root))


def _files_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "_")) for part in inside):
            yield path


def _domain(file: Path, root: Path) -> str:
    """The first sub-folder; or the name of a file of many texts, or of the given file or folder."""
    inside = file.relative_to(root).parts if file != root else (file.name,)
    if len(inside) > 1:
        return inside[0]
    many = _kind(file) in (*_LINES, ".parquet")
    stem = file.name.partition(".")[0] if many or file == root else root.resolve().name
    return _SHARD.sub("", stem) or stem


def _kind(file: Path) -> str:
    """The suffix without that of a compression."""
    name = file.name.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def _documents_of(file: Path, texts: LocalTexts, domain: str) -> Iterator[_Document]:
    kind = _kind(file)
    try:
        if kind == ".parquet":
            rows = _parquet_rows(file, texts)
        elif kind in _LINES:
            rows = _json_rows(file)
        else:
            yield _Document(_whole(file), domain, str(file))
            return
        for where, row in rows:
            text = _field(row, texts.field, where, "--text-field")
            own = domain if texts.domain is None else _field(row, texts.domain, where, "--text-domain")
            yield _Document(text, str(own) if isinstance(own, int) else own, where)
    except (OSError, EOFError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(f"The file {file} cannot be read ({reason}).") from error


def _field(row: Fields, name: str, where: str, option: str) -> object:
    """The value of a field; `meta.source` is the field `source` of the object `meta`."""
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    if inner and isinstance(row.get(outer), dict):
        return _field(row[outer], inner, where, option)
    near = difflib.get_close_matches(name, list(map(str, row)), n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(map(str, row)) or 'no field'}."
    raise DataError(f"{where} has no field '{name}' ({option}); {hint}")


def _whole(file: Path) -> str:
    with _opened(file) as stream:
        content = stream.read(4 * LARGEST + 1)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start:,}; convert it "
            "or leave it out."
        ) from None


def _json_rows(file: Path) -> Iterator[tuple[str, Fields]]:
    with _opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            where = f"Line {number} of {file}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where} is not UTF-8: byte 0x{line[error.start]:02x} at position {error.start:,}."
                ) from None
            except ValueError as error:
                raise DataError(
                    f"{where} is not JSON ({error}); a JSON file needs one object a line."
                ) from None
            if not isinstance(row, dict):
                raise DataError(f"{where} must be a JSON object.")
            yield where, row


def _parquet_rows(file: Path, texts: LocalTexts) -> Iterator[tuple[str, Fields]]:
    import pyarrow
    from pyarrow import parquet

    named = [name for name in (texts.field, texts.domain) if name is not None]
    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            present = table.schema_arrow.names
            columns = [name if name in present else name.partition(".")[0] for name in named]
            for column in columns:
                option = "--text-field" if column == texts.field else "--text-domain"
                _field(dict.fromkeys(present), column, str(file), option)
            for batch in table.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    yield f"Row {number} of {file}", row
                    number += 1
    except UnicodeDecodeError as error:
        raise DataError(f"A row of {file} after row {number} is not UTF-8 ({error.reason}).") from None
    except pyarrow.ArrowException as error:
        reason = next(iter(str(error).splitlines()), "")
        raise DataError(f"{file} cannot be read as Parquet ({reason}).") from error


def _opened(file: Path) -> IO[bytes]:
    """The file's bytes, decompressed."""
    compression = _COMPRESSED.get(file.suffix.lower())
    if compression is None:
        return file.open("rb")
    import pyarrow

    return io.BufferedReader(pyarrow.input_stream(str(file), compression=compression))
