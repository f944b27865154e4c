"""Opening and creating index files, and translating SQLite errors into messages."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cogtui.store.db import fts_index
from cogtui.store.db.location import IndexLocation, wal_works
from cogtui.store.db.schema import check_version, has_other_columns, is_outdated, migrate, schema_version
from pipelines.errors import CogtuiError, MissingRequirement

READER_CACHE_KIB: Final = 16 * 1024
WRITER_CACHE_KIB: Final = 96 * 1024
"""Holds the hot pages of the unique index of rollout ids, which inserts hit at random, up to a few million rollouts."""
BUSY_S: Final = 20.0


class DamagedIndex(CogtuiError):
    """The index file is corrupt. It can be rebuilt from the stage folders without loss."""

    code = "damaged_index"


def connect(path: Path, *, readonly: bool = False, search: bool = True) -> sqlite3.Connection:
    """Open an index file, in autocommit mode: callers begin their transactions themselves.

    Args:
        path: the index file; must exist.
        readonly: refuse writes, and do not migrate.
        search: attach the full-text index for reading. Writers leave it detached, because one of their transactions
            would lock both files.

    Raises:
        InvalidInput: the index belongs to another version. DamagedIndex, MissingRequirement: SQLite cannot use it.
    """
    mode = "ro" if readonly else "rw"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False
    )
    with translate_sqlite_errors(path):
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not readonly:
            migrate(connection)
            if _is_empty(fts_index.fts_path(path)):  # it was deleted or emptied; the next ingest fills it again
                fts_index.create_fts(path, str(connection.execute("PRAGMA journal_mode").fetchone()[0]))
        else:
            check_version(schema_version(connection))  # reads the file, so that damage is found here
        if search:
            _attach(connection, path)
    return connection


def _attach(connection: sqlite3.Connection, index: Path) -> None:
    path = fts_index.fts_path(index)
    if _is_empty(path):
        raise DamagedIndex(
            f"the full-text file of the index {index} is missing or empty",
            detail="Nothing is lost: it is made from the stage folders.",
            remedy="Build it again with cogtui reindex.",
        )
    connection.execute(f"ATTACH ? AS {fts_index.SCHEMA}", (f"{path.as_uri()}?mode=ro",))
    connection.execute(f"PRAGMA {fts_index.SCHEMA}.cache_size = -{READER_CACHE_KIB}")


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def connect_memory() -> sqlite3.Connection:
    """Open an empty in-memory index, for a workspace that does not exist yet."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection)
    connection.execute(f"ATTACH ':memory:' AS {fts_index.SCHEMA}")
    for statement in fts_index.fts_statements(fts_index.SCHEMA):
        connection.execute(statement)
    return connection


def make_generation(location: IndexLocation) -> Path:
    """Create an empty index file that is not the current one yet; return its path.

    Raises:
        MissingRequirement: the disk is full or cannot be written; nothing of it is left.
    """
    path = location.next_generation()
    with translate_sqlite_errors(path):
        try:
            journal = "WAL" if wal_works(location.folder) else "TRUNCATE"
            fts_index.create_fts(path, journal)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)) as connection:
                connection.execute(f"PRAGMA page_size = {fts_index.PAGE_BYTES}")
                connection.execute("PRAGMA auto_vacuum = NONE")
                connection.execute(f"PRAGMA journal_mode = {journal}")
                migrate(connection)
        except (sqlite3.Error, OSError):
            for left in location.folder.glob(f"{path.name}*"):
                left.unlink(missing_ok=True)
            raise
    return path


def ensure_index(location: IndexLocation) -> Path:
    """Return the current index file of a location, making an empty one where there is none or it is outdated.

    When several processes ask at the same time, one of them makes the file.
    """
    path = _usable_index(location)
    if path is not None:
        return path
    with generation_lock(location):
        path = _usable_index(location)
        if path is None:
            path = make_generation(location)
            location.point_to(path)
        return path


def _usable_index(location: IndexLocation) -> Path | None:
    """The current index file, unless its layout is one that can only be rebuilt."""
    path = location.current()
    if path is None:
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
            outdated = is_outdated(schema_version(connection)) or has_other_columns(connection)
            return None if outdated else path
    except sqlite3.DatabaseError:
        return path  # `connect` reports the damage


@contextmanager
def generation_lock(location: IndexLocation) -> Iterator[None]:
    """Hold the lock under which the current index file is created or replaced. It ends with the process."""
    descriptor = os.open(location.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def name_of_index(path: Path | None) -> str:
    """Return `the index PATH`, or `the index` where the path is not known."""
    return "the index" if path is None else f"the index {path}"


@contextmanager
def translate_sqlite_errors(path: Path | None) -> Iterator[None]:
    """Translate the SQLite errors that a user can fix; any other error stays a bug with its traceback.

    Raises:
        DamagedIndex: the file is broken.
        MissingRequirement: the disk is full or cannot be written, or another process locks the index for too long.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or str(error).startswith("no such table"):
            raise DamagedIndex(
                f"{name_of_index(path)} is damaged: {error}",
                detail="Nothing is lost: it is made from the stage folders.",
                remedy="Build it again with cogtui reindex.",
            ) from error
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")):
            raise MissingRequirement(
                f"{name_of_index(path)} cannot be used: {error}",
                detail="Nothing is lost: it is made from the stage folders.",
                remedy="Free some space, or name another folder on a local disk with COGTUI_CACHE; then try again.",
            ) from error
        raise


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a write transaction, rolled back on any exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
