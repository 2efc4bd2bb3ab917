"""Reads data files as rows of plain Python values; reads only the requested columns.

The formats are Parquet, Arrow (stream or file), CSV and JSON lines, the last two also gzipped.
"""

import difflib
import gzip
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.errors import DataError

if TYPE_CHECKING:
    import pyarrow

PlainRows = list[dict[str, Any]]

SUFFIXES = (".parquet", ".arrow", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz")


def read_files(paths: Iterable[Path], columns: Sequence[str]) -> PlainRows:
    """Rows of several files, concatenated."""
    return [row for path in paths for row in read_file(path, columns)]


def read_file(path: Path, columns: Sequence[str]) -> PlainRows:
    """Rows of one file with exactly `columns`, in that order.

    pyarrow infers the types of CSV columns, except that dates remain text. A key that a JSON line lacks is
    None if other lines have it.

    Raises:
        DataError: the file is missing, unreadable, truncated, of an unknown format, or lacks a column.
    """
    import pyarrow

    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    readers = {"parquet": _parquet, "arrow": _arrow, "csv": _csv, "jsonl": _json_lines, "json": _json_lines}
    reader = readers.get(kind)
    if reader is None:
        raise DataError(f"{path} has an unknown format; the formats are {', '.join(SUFFIXES)}.")
    try:
        return reader(path, columns)
    except FileNotFoundError:
        raise DataError(f"The data file {path} does not exist.") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pyarrow.ArrowException) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise DataError(
            f"The data file {path} cannot be read and is probably truncated or damaged ({reason}); download "
            "it again."
        ) from error


def require_columns(columns: Iterable[str], present: Iterable[str], where: object) -> None:
    """Check that all `columns` are `present` in the source named `where`.

    Raises:
        DataError: a column is missing; the message lists the present columns and the most similar name.
    """
    present = list(present)
    missing = next((column for column in columns if column not in present), None)
    if missing is None:
        return
    by_lower = {name.lower(): name for name in present}
    near = difflib.get_close_matches(missing.lower(), by_lower, n=1, cutoff=0.5)
    hint = f" Was it renamed to '{by_lower[near[0]]}'?" if near else ""
    raise DataError(f"Column '{missing}' is missing in {where}, which has {', '.join(present)}.{hint}")


def plain_rows(table: "pyarrow.Table", columns: Sequence[str]) -> PlainRows:
    """The columns of an Arrow table as plain Python rows."""
    rows: PlainRows = table.select(list(columns)).to_pylist()
    return rows


def _parquet(path: Path, columns: Sequence[str]) -> PlainRows:
    from pyarrow import parquet

    # Not `read_table`, which would treat a folder name such as "subject=x" as a column.
    with parquet.ParquetFile(path) as file:
        require_columns(columns, file.schema_arrow.names, path)
        return plain_rows(file.read(columns=list(columns)), columns)


def _arrow(path: Path, columns: Sequence[str]) -> PlainRows:
    from pyarrow import ipc, memory_map

    with memory_map(str(path)) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        table = (ipc.open_file(source) if is_file else ipc.open_stream(source)).read_all()
        require_columns(columns, table.column_names, path)
        table = table.select(list(columns))
        table.validate(full=True)  # Without validation, a wrong offset in the file would crash the process.
        return plain_rows(table, columns)


def _csv(path: Path, columns: Sequence[str]) -> PlainRows:
    import pyarrow
    from pyarrow import csv

    def read(types: Mapping[str, pyarrow.DataType]) -> pyarrow.Table:
        with _open(path) as file:
            return csv.read_csv(
                file,
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(column_types=types),
            )

    table = read({})
    dates = {field.name: pyarrow.string() for field in table.schema if pyarrow.types.is_temporal(field.type)}
    table = read(dates) if dates else table
    require_columns(columns, table.column_names, path)
    return plain_rows(table, columns)


def _json_lines(path: Path, columns: Sequence[str]) -> PlainRows:
    rows = list(json_lines(path))
    if rows:  # An empty file has no rows, and so no known columns.
        require_columns(columns, dict.fromkeys(key for row in rows for key in row), path)
    return [{column: row.get(column) for column in columns} for row in rows]


def json_lines(path: Path) -> Iterable[dict[str, Any]]:
    """The objects of a JSON lines file, gzipped or not; blank lines are skipped.

    Raises:
        DataError: a line is not a JSON object; the message names its number.
    """
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"Line {number} of {path} is not JSON ({error}); fix the file.") from None
            if not isinstance(row, dict):
                raise DataError(f"Line {number} of {path} must be a JSON object.")
            yield row


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
