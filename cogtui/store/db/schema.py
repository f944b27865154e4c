"""The tables of the index, and how an index file of an earlier version is brought up to date.

`rollout` holds only the columns that filters and sorts use, so a full scan of a million rows reads some 60 MB and
takes well under a tenth of a second. `record` says where each rollout lies in the stage files, which keep the texts.
The full-text index has a file of its own (`fts_index`).

`PRAGMA user_version` is `BASE_VERSION` plus the number of migrations applied. An index below that was made by a
version whose layout cannot be migrated: `connection.ensure_index` replaces it with an empty one, which the next
ingest fills from the stage folders. sqlite-utils is imported only when a migration is due, because the import takes
0.2 s.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cogtui.store.columns import COMPUTED_COLUMNS, VALUE_COLUMNS
from pipelines.behaviors.sets.registered import BEHAVIOR_SETS, BEHAVIORS
from pipelines.errors import InvalidInput

if TYPE_CHECKING:
    from sqlite_utils import Database

DISTANCE_COLUMNS: Final = tuple(
    f"{first}__{second}" for one in BEHAVIOR_SETS for first in one.names for second in one.names
)
"""Columns of `span_distance`: the least distance from the end of one behaviour to the start of another of its set, in
code points."""

BLOCK_BITS: Final = 10
"""A block of `span_distance_block` covers the `2 ** BLOCK_BITS` rollouts whose serials differ in these low bits."""

SORT_INDEXES: Final = {
    f"rollout_by_{column}": f"CREATE INDEX IF NOT EXISTS rollout_by_{column} ON rollout ({column}, ordinal)"
    for column in (one.column for one in VALUE_COLUMNS if one.indexed)
}
"""Indexes for sorting. A bulk load drops them and builds them again at its end."""

PROBLEM_INDEX: Final = "CREATE INDEX IF NOT EXISTS rollout_by_problem ON rollout (problem_id, step, ordinal, reward)"
BULK_INDEXES: Final = {**SORT_INDEXES, "rollout_by_problem": PROBLEM_INDEX}
"""The indexes that a bulk load builds at its end."""


def _create_tables(db: Database) -> None:
    db.table("meta").create({"name": str, "value": str}, pk="name")
    db.table("lease").create({"id": int, "token": str, "host": str, "pid": int, "started": float, "heartbeat": float},
                             pk="id")  # fmt: skip
    db.table("stage").create(
        {"id": int, "key": str, "kind": str, "name": str, "labels": str, "info_mtime": int, "fully_indexed_mtime": int},
        pk="id",
    ).create_index(["key"], unique=True)
    db.table("experiment_stage").create(
        {"experiment": str, "stage_key": str, "labels": str}, pk=("experiment", "stage_key")
    )
    # A series is one split of one stage: the values that do not change along a curve.
    db.table("series").create(
        {"id": int, "stage": int, "split": str, "condition": str, "seed": int, "has_own_labels": int},
        pk="id",
        not_null={"stage", "split"},
    ).create_index(["stage"])
    db.table("bad_line").create({"file": int, "byte": int, "reason": str}, pk=("file", "byte"))
    db.table("judge_run").create({"id": int, "run": str, "judge": str, "rank": int, "record": str}, pk="id")
    db.table("judge_run").create_index(["run"], unique=True)
    db.table("task").create({"id": int, "name": str}, pk="id").create_index(["name"], unique=True)
    db.table("problem").create({"id": str, "number": int}, pk="id").create_index(["number"])
    db.table("note").create(
        {"rollout": str, "note": str, "note_stamp": str, "tags": str, "tags_stamp": str, "author": str}, pk="rollout"
    )
    db.table("tag").create({"tag": str, "rollout": str}, pk=("tag", "rollout"))
    db.table("note_file").create({"path": str, "offset": int}, pk="path")
    for statement in _ROLLOUT_TABLES:
        db.execute(statement)


_DISTANCES: Final = ", ".join(f"{name} INTEGER" for name in DISTANCE_COLUMNS)
_VALUES: Final = ", ".join(column.declaration for column in VALUE_COLUMNS)
_COUNTS: Final = ", ".join(f"{behavior} INTEGER" for behavior in BEHAVIORS)
_ROLLOUT_TABLES: Final = (
    # AUTOINCREMENT: rows point to lines by the number of their file, so no number may come back for another file.
    """CREATE TABLE stream_file (
        id INTEGER PRIMARY KEY AUTOINCREMENT, stage INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, family TEXT NOT NULL,
        first_ordinal INTEGER NOT NULL, inode INTEGER, size INTEGER NOT NULL, mtime_ns INTEGER,
        offset INTEGER NOT NULL, lines INTEGER NOT NULL, bad_lines INTEGER NOT NULL, torn_bytes INTEGER NOT NULL,
        head_digest TEXT NOT NULL)""",
    "CREATE INDEX stream_file_by_stage ON stream_file (stage)",
    f"""CREATE TABLE rollout (
        serial INTEGER PRIMARY KEY, series INTEGER NOT NULL, {_VALUES}, judged INTEGER NOT NULL, judge INTEGER,
        has_answer INTEGER NOT NULL, has_note INTEGER NOT NULL, ordinal INTEGER NOT NULL, problem_id TEXT NOT NULL,
        task INTEGER NOT NULL)""",
    """CREATE TABLE record (
        serial INTEGER PRIMARY KEY, uid TEXT NOT NULL, problem TEXT NOT NULL, file INTEGER NOT NULL,
        byte INTEGER NOT NULL)""",
    "CREATE UNIQUE INDEX record_by_uid ON record (uid)",
    "CREATE INDEX rollout_by_series ON rollout (series, step, ordinal)",
    *BULK_INDEXES.values(),
    f"CREATE TABLE span_distance (serial INTEGER PRIMARY KEY, {_DISTANCES})",
    f"CREATE TABLE span_distance_block (block INTEGER PRIMARY KEY, {_DISTANCES})",
    # statuses: one letter per behaviour, '-' while its line is not read yet; address_*: file << 40 | byte.
    f"""CREATE TABLE rollout_judgement (
        serial INTEGER NOT NULL, run INTEGER NOT NULL, statuses TEXT NOT NULL, {_COUNTS}, unaligned INTEGER NOT NULL,
        {", ".join(f"address_{behavior} INTEGER" for behavior in BEHAVIORS)},
        PRIMARY KEY (serial, run)) WITHOUT ROWID""",
    """CREATE TABLE orphan_judgement (
        uid TEXT NOT NULL, file INTEGER NOT NULL, byte INTEGER NOT NULL, PRIMARY KEY (uid, file, byte)
        ) WITHOUT ROWID""",
    """CREATE TABLE metric (
        stage INTEGER NOT NULL, stream TEXT NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (stage, stream, step, name)) WITHOUT ROWID""",
    f"""CREATE TABLE step_summary (
        series INTEGER NOT NULL, step INTEGER NOT NULL, n INTEGER NOT NULL, scored INTEGER NOT NULL, reward REAL,
        accuracy REAL, length REAL NOT NULL, tokens REAL,
        {", ".join(f"judged_{b} INTEGER NOT NULL" for b in BEHAVIORS)},
        {", ".join(f"mean_{b} REAL" for b in BEHAVIORS)}, PRIMARY KEY (series, step)) WITHOUT ROWID""",
    """CREATE TABLE stale_summary (
        series INTEGER NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (series, step)) WITHOUT ROWID""",
    # The latest annotation of each person and rollout; address: file << 40 | byte of its line.
    """CREATE TABLE annotation (
        rollout TEXT NOT NULL, run INTEGER NOT NULL, stamp TEXT NOT NULL, address INTEGER NOT NULL,
        done INTEGER NOT NULL, empty INTEGER NOT NULL, PRIMARY KEY (rollout, run)) WITHOUT ROWID""",
)


BASE_VERSION: Final = 5
"""Index files of this version or below are rebuilt, not migrated. Raise it with each change that needs a rebuild."""
MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (_create_tables,)
"""In order. Once released, a migration is not changed; later ones are added behind it."""


def current_version() -> int:
    """Return the version of an index file that has all migrations."""
    return BASE_VERSION + len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema of an empty or migratable index up to date. Several processes may try at once.

    Raises:
        InvalidInput: the index was made by a newer cogtui, or by one whose layout cannot be migrated.
    """
    version = schema_version(connection)
    check_version(version)
    if version == current_version():
        return
    with _not_imported("pandas", "numpy"):
        from sqlite_utils import Database
        from sqlite_utils.migrations import Migrations

    migrations = Migrations("cogtui-index")
    for function in MIGRATIONS:
        migrations(name=function.__name__.strip("_"))(function)
    connection.execute("BEGIN IMMEDIATE")
    try:
        # sqlite-utils nests its own transactions in this one, so a second process waits and then finds it done.
        migrations.apply(Database(connection, execute_plugins=False))
        connection.execute(f"PRAGMA user_version = {current_version()}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _not_imported(*names: str) -> Iterator[None]:
    """Keep sqlite-utils from importing packages that it only uses for their types: they take most of a second."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the version of an index file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_outdated(version: int) -> bool:
    """Return whether an index file of this version can only be rebuilt."""
    return 0 < version <= BASE_VERSION


def has_other_columns(connection: sqlite3.Connection) -> bool:
    """Return whether an index lacks computed columns or was made with other behaviour sets: it must then be rebuilt.

    It lacks the columns of a set that was installed since, and the judgements that were passed over for want of them.
    """
    if not 0 < schema_version(connection) <= current_version():
        return False
    columns = {row[1] for row in connection.execute("PRAGMA table_info(rollout_judgement)")}
    prefix = "address_"
    behaviors = {name.removeprefix(prefix) for name in columns if name.startswith(prefix)}
    values = {row[1] for row in connection.execute("PRAGMA table_info(rollout)")}
    return bool(behaviors) and (behaviors != set(BEHAVIORS) or not values >= {one.column for one in COMPUTED_COLUMNS})


def check_version(version: int) -> None:
    """Check that this program can read an index file of a version, if need be after a migration.

    Raises:
        InvalidInput: it cannot; says what to do.
    """
    if version > current_version():
        raise InvalidInput(
            "the index was made by a newer cogtui",
            remedy="Upgrade cogtui, or build the index again with cogtui reindex.",
        )
    if is_outdated(version):
        raise InvalidInput(
            "the index was made by an earlier cogtui",
            detail="Nothing is lost: the index is made from the stage folders.",
            remedy="Build it again with cogtui reindex.",
        )
