"""Stores answers on disk by the content of their request, so that no request is computed twice.

The store is one SQLite file, in WAL mode if the file system supports it. Each block of answers is one
transaction, so that a killed run loses at most one block. A change of template, row, weights or parameters
changes the key.
"""

import hashlib
import json
import shutil
import sqlite3
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from evalsuite.errors import StorageError
from evalsuite.types import (
    Failure,
    Generated,
    GenerateRequest,
    ModelIdentity,
    Request,
    Response,
    Score,
    ScoreRequest,
    canonical_json,
)

SCHEMA = 1
_TABLES = (
    "CREATE TABLE IF NOT EXISTS responses (key BLOB PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID",
    # Separate tables, so that older versions of evalsuite can still read and write a shared store.
    "CREATE TABLE IF NOT EXISTS sessions (id INTEGER PRIMARY KEY, versions TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS origins (key BLOB PRIMARY KEY, session INTEGER NOT NULL) WITHOUT ROWID",
)
_TAKE = (
    "INSERT OR IGNORE INTO sessions (versions) SELECT versions FROM other.sessions",
    "INSERT OR IGNORE INTO origins SELECT theirs.key, mine.id FROM other.origins AS theirs "
    "JOIN other.sessions AS made ON theirs.session = made.id JOIN main.sessions AS mine USING (versions) "
    "WHERE NOT EXISTS (SELECT 1 FROM main.responses WHERE key = theirs.key)",
    "INSERT OR IGNORE INTO responses SELECT * FROM other.responses",
)
_LITTLE_SPACE = 1 << 20  # bytes; with less space than its shared memory needs, SQLite reports an I/O error
_LOOKUP = 500  # keys per query; old builds of SQLite allow 999 variables by default


def request_key(request: Request, model: ModelIdentity) -> bytes:
    """SHA-256 (32 bytes) over schema, model identity, token ids, and generation parameters."""
    digest = hashlib.sha256(f"{SCHEMA}\0{model.weights}\0{model.tokenizer}\0{model.numerics}\0".encode())
    match request:
        case ScoreRequest(context, continuation):
            digest.update(f"score\0{len(context)}\0".encode())
            digest.update(_bytes_of(context) + _bytes_of(continuation))
        case GenerateRequest(context=context):
            parameters = [
                list(request.stop),
                request.max_tokens,
                request.temperature,
                request.top_p,
                request.seed,
                request.sample,
                request.backend,
            ]
            # Not "generate": older stores have texts without leading blanks under that word.
            digest.update(f"text\0{canonical_json(parameters)}\0".encode())
            digest.update(_bytes_of(context))
    return digest.digest()


def _bytes_of(ids: Sequence[int]) -> bytes:
    return array("q", ids).tobytes()


class ResponseStore:
    """The answers of a run. Failures are never stored, so that the next run retries them."""

    def __init__(self, path: Path, versions: Mapping[str, str] | None = None) -> None:
        """Open or create the store; raises StorageError if it is damaged or cannot be written.

        Args:
            path: the store's file.
            versions: package versions of this session, stored with its answers.
        """
        self._path = path
        self._versions = canonical_json(dict(versions)) if versions else ""
        with self._readable():
            self._connection = _connected(path)
            damage = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise sqlite3.DatabaseError(damage)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise StorageError(
                    f"{path} was written by another version of evalsuite; choose another --out folder."
                )
            self._connection.execute(f"PRAGMA user_version={SCHEMA}")
            for table in _TABLES:
                self._connection.execute(table)
            self._connection.commit()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Response]:
        """The stored answers among `keys`."""
        found: dict[bytes, Response] = {}
        with self._readable():
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, response FROM responses WHERE key IN ({marks})"
                found.update((key, _decoded(text)) for key, text in self._connection.execute(query, part))
        return found

    def put(self, answers: Iterable[tuple[bytes, Response]]) -> None:
        """Store answers, except failures, in one transaction; existing answers are not replaced."""
        rows = [(key, _encoded(answer)) for key, answer in answers if not isinstance(answer, Failure)]
        with self._readable(), self._connection:
            if self._versions:
                self._connection.execute(
                    "INSERT OR IGNORE INTO sessions (versions) VALUES (?)", (self._versions,)
                )
                query = "INSERT OR IGNORE INTO origins SELECT ?1, id FROM sessions WHERE versions = ?2 "
                query += "AND NOT EXISTS (SELECT 1 FROM responses WHERE key = ?1)"
                self._connection.executemany(query, [(key, self._versions) for key, _ in rows])
            self._connection.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?)", rows)

    def origins(self, keys: Sequence[bytes]) -> list[tuple[dict[str, str], int]]:
        """Package versions that computed the stored answers among `keys`, with the number of answers of each.

        The versions are empty for answers whose origin is unknown.
        """
        counts: Counter[str] = Counter()
        with self._readable():
            for start in range(0, len(keys), _LOOKUP):
                part = keys[start : start + _LOOKUP]
                query = "SELECT COALESCE(versions, '{}') FROM responses LEFT JOIN origins USING (key) "
                query += f"LEFT JOIN sessions ON session = id WHERE key IN ({','.join('?' * len(part))})"
                counts.update(versions for (versions,) in self._connection.execute(query, part))
            return [(json.loads(versions), count) for versions, count in counts.most_common()]

    def take(self, other: Path, named: str = "") -> None:
        """Copy all answers of another store, or none of them.

        Args:
            other: the other store's file.
            named: the other store's name in errors; its path if empty.

        Raises:
            StorageError: the other store is damaged, or has a different answer to the same request.
        """
        ResponseStore(other).close()  # raises if it is damaged
        with self._readable():
            self._connection.execute("ATTACH DATABASE ? AS other", (str(other),))
            try:
                query = "SELECT COUNT(*), COUNT(*) FILTER (WHERE mine.response != theirs.response) "
                query += "FROM responses AS mine JOIN other.responses AS theirs USING (key)"
                common, differing = self._connection.execute(query).fetchone()
                if differing:
                    raise StorageError(
                        f"{named or other} and the other stores differ in {differing:,} of their {common:,} "
                        "common answers: they were computed under different conditions; recompute one."
                    )
                with self._connection:
                    for statement in _TAKE:
                        self._connection.execute(statement)
            finally:
                self._connection.execute("DETACH DATABASE other")

    def __len__(self) -> int:
        with self._readable():
            return int(self._connection.execute("SELECT COUNT(*) FROM responses").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _has_little_space(self) -> bool:
        try:
            return shutil.disk_usage(self._path.parent).free < _LITTLE_SPACE
        except OSError:  # the folder does not exist
            return False

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error) or self._has_little_space():
                raise StorageError(
                    f"No space is left for {self._path}; free some space and run the same command again. It "
                    "continues from the stored answers."
                ) from error
            hint = "" if "locked" in str(error) else "; put --out (and --store) on a local disk"
            raise StorageError(f"{self._path} cannot be used: {error}{hint}.") from error
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"{self._path} is damaged ({error}); restore a copy, or move it away to compute its answers "
                "again."
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode, or with a rollback journal if the file system cannot share memory.

    WAL maps a file into memory, which GPFS, Lustre, 9p, exFAT and some FUSE mounts refuse. A store in WAL
    mode from another file system is converted: with exclusive locking, SQLite reads it without shared memory.
    """
    connection = sqlite3.connect(path, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("BEGIN IMMEDIATE")  # tests everything that writing needs
        connection.commit()
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error) or "full" in str(error):
            raise
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA locking_mode=NORMAL")
    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # releases the exclusive lock
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _encoded(answer: Response) -> str:
    match answer:
        case Score(log_probs, is_greedy, rounded_sum):
            rounded = {} if rounded_sum is None else {"rounded_sum": rounded_sum}
            return json.dumps({"log_probs": log_probs, "is_greedy": is_greedy, **rounded})
        case Generated(text, tokens, finish):
            return json.dumps({"text": text, "tokens": tokens, "finish": finish})
    raise TypeError(f"not an answer: {answer!r}")


def _decoded(text: str) -> Response:
    fields = json.loads(text)
    if "log_probs" in fields:
        return Score(tuple(fields["log_probs"]), fields["is_greedy"], fields.get("rounded_sum"))
    return Generated(**fields)
