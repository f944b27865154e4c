"""The tables of the index, as migrations.

`rollout` holds only what is filtered and sorted by and nothing else: a whole scan of a million rows reads
some 60 MB and takes well under a tenth of a second. What is needed to find a record again is in `record`,
the texts are in the files themselves, and the words to search them by are in a file of their own (`words`).

Importing sqlite-utils takes a fifth of a second, so it happens only when there is something to migrate:
`PRAGMA user_version` counts the migrations applied.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pipelines.errors import InvalidInput
from pipelines.records import BEHAVIORS

if TYPE_CHECKING:
    from sqlite_utils import Database

DISTANCE_COLUMNS: Final = tuple(f"{first}__{second}" for first in BEHAVIORS for second in BEHAVIORS)
"""Columns of `distance`: the least distance from the end of one behaviour to the start of another, in code points."""

BLOCK_BITS: Final = 10
"""Rollouts whose serials differ in so many last bits are one block of `near`."""

SORT_INDEXES: Final = {
    f"rollout_by_{column}": f"CREATE INDEX IF NOT EXISTS rollout_by_{column} ON rollout ({column}, place)"
    for column in ("step", "reward", "n_tokens", "length", *BEHAVIORS)
}
"""Indexes that only make sorting fast. A bulk load drops them and builds them at its end."""

PROBLEM_INDEX: Final = "CREATE INDEX IF NOT EXISTS rollout_by_problem ON rollout (problem_id, step, place, reward)"
BULK_INDEXES: Final = {**SORT_INDEXES, "rollout_by_problem": PROBLEM_INDEX}


def _tables(db: Database) -> None:
    db.table("meta").create({"name": str, "value": str}, pk="name")
    db.table("lease").create({"id": int, "token": str, "host": str, "pid": int, "started": float, "heartbeat": float},
                             pk="id")  # fmt: skip
    db.table("stage").create(
        {"id": int, "key": str, "kind": str, "name": str, "labels": str, "info_mtime": int, "settled": int}, pk="id"
    ).create_index(["key"], unique=True)
    db.table("experiment_stage").create(
        {"experiment": str, "stage_key": str, "labels": str}, pk=("experiment", "stage_key")
    )
    # A series is what stays the same along a curve; everything a rollout has only through its stage is here.
    db.table("series").create(
        {"id": int, "stage": int, "split": str, "condition": str, "seed": int, "own": int},
        pk="id",
        not_null={"stage", "split"},
    ).create_index(["stage"])
    db.table("bad_line").create({"source": int, "byte": int, "reason": str}, pk=("source", "byte"))
    db.table("judge_run").create({"id": int, "run": str, "judge": str, "rank": int, "record": str}, pk="id")
    db.table("judge_run").create_index(["run"], unique=True)
    db.table("problem").create({"id": str, "number": int}, pk="id").create_index(["number"])
    db.table("note").create(
        {"rollout": str, "note": str, "note_stamp": str, "tags": str, "tags_stamp": str, "author": str}, pk="rollout"
    )
    db.table("tag").create({"tag": str, "rollout": str}, pk=("tag", "rollout"))
    db.table("note_source").create({"path": str, "offset": int}, pk="path")
    for statement in _ROLLOUT_TABLES:
        db.execute(statement)


_COUNTS: Final = ", ".join(f"{behavior} INTEGER" for behavior in BEHAVIORS)
_ROLLOUT_TABLES: Final = (
    # AUTOINCREMENT: rows point to lines by the number of their file, so no number may come back for another file.
    """CREATE TABLE source (
        id INTEGER PRIMARY KEY AUTOINCREMENT, stage INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, family TEXT NOT NULL,
        place INTEGER NOT NULL, inode INTEGER, size INTEGER NOT NULL, mtime_ns INTEGER, offset INTEGER NOT NULL,
        lines INTEGER NOT NULL, bad INTEGER NOT NULL, torn INTEGER NOT NULL, head TEXT NOT NULL)""",
    "CREATE INDEX source_by_stage ON source (stage)",
    f"""CREATE TABLE rollout (
        serial INTEGER PRIMARY KEY, series INTEGER NOT NULL, step INTEGER NOT NULL, reward REAL, correct INTEGER,
        {_COUNTS}, judged INTEGER NOT NULL, judge INTEGER, unaligned INTEGER, n_tokens INTEGER,
        length INTEGER NOT NULL, sample INTEGER NOT NULL, finish INTEGER NOT NULL, answered INTEGER NOT NULL,
        noted INTEGER NOT NULL, target INTEGER NOT NULL, place INTEGER NOT NULL, problem_id TEXT NOT NULL)""",
    """CREATE TABLE record (
        serial INTEGER PRIMARY KEY, uid TEXT NOT NULL, numbers TEXT NOT NULL, source INTEGER NOT NULL,
        byte INTEGER NOT NULL)""",
    "CREATE UNIQUE INDEX record_by_uid ON record (uid)",
    "CREATE INDEX rollout_by_series ON rollout (series, step, place)",
    *BULK_INDEXES.values(),
    f"""CREATE TABLE gap (serial INTEGER PRIMARY KEY, {", ".join(f"{name} INTEGER" for name in DISTANCE_COLUMNS)})""",
    # statuses: one letter a behaviour, '-' where that line has not come yet; at_*: source << 40 | byte.
    f"""CREATE TABLE verdict (
        serial INTEGER NOT NULL, run INTEGER NOT NULL, statuses TEXT NOT NULL, {_COUNTS}, unaligned INTEGER NOT NULL,
        {", ".join(f"at_{behavior} INTEGER" for behavior in BEHAVIORS)}, PRIMARY KEY (serial, run)) WITHOUT ROWID""",
    """CREATE TABLE orphan (
        uid TEXT NOT NULL, source INTEGER NOT NULL, byte INTEGER NOT NULL, PRIMARY KEY (uid, source, byte)
        ) WITHOUT ROWID""",
    """CREATE TABLE metric (
        stage INTEGER NOT NULL, stream TEXT NOT NULL, step INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (stage, stream, step, name)) WITHOUT ROWID""",
    f"""CREATE TABLE step_summary (
        series INTEGER NOT NULL, step INTEGER NOT NULL, n INTEGER NOT NULL, scored INTEGER NOT NULL, reward REAL,
        accuracy REAL, length REAL NOT NULL, tokens REAL,
        {", ".join(f"judged_{b} INTEGER NOT NULL" for b in BEHAVIORS)},
        {", ".join(f"mean_{b} REAL" for b in BEHAVIORS)}, PRIMARY KEY (series, step)) WITHOUT ROWID""",
    """CREATE TABLE stale_step (
        series INTEGER NOT NULL, step INTEGER NOT NULL, PRIMARY KEY (series, step)) WITHOUT ROWID""",
)


def _annotations(db: Database) -> None:
    # The latest line of each person and rollout: `at` is its place, `source << 40 | byte`.
    db.execute(
        """CREATE TABLE annotation (
            rollout TEXT NOT NULL, run INTEGER NOT NULL, stamp TEXT NOT NULL, at INTEGER NOT NULL,
            done INTEGER NOT NULL, empty INTEGER NOT NULL, PRIMARY KEY (rollout, run)) WITHOUT ROWID"""
    )


def _words_apart(db: Database) -> None:
    """The words of completions were in the index itself once; see `words`."""
    db.execute("DROP TABLE IF EXISTS words")


def _nearness(db: Database) -> None:
    db.execute(
        f"CREATE TABLE near (block INTEGER PRIMARY KEY, {', '.join(f'{name} INTEGER' for name in DISTANCE_COLUMNS)})"
    )
    # Another name, so that a writer of before, which still runs and knows nothing of blocks, fails instead.
    db.execute("ALTER TABLE gap RENAME TO distance")
    least = ", ".join(f"min({name})" for name in DISTANCE_COLUMNS)
    db.execute(f"INSERT INTO near SELECT serial >> {BLOCK_BITS}, {least} FROM distance GROUP BY 1")


MIGRATIONS: Final[tuple[Callable[[Database], None], ...]] = (_tables, _annotations, _words_apart, _nearness)
"""In order; never changed once released, only added to."""


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema up to date. Several processes may try at once.

    Raises:
        InvalidInput: the index was made by a later version of this program.
    """
    have = schema_version(connection)
    if have > len(MIGRATIONS):
        raise InvalidInput(
            "the index was made by a newer cogtui",
            remedy="Upgrade cogtui, or build the index again with cogtui reindex.",
        )
    if have == len(MIGRATIONS):
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
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _not_imported(*names: str) -> Iterator[None]:
    """sqlite-utils imports these where it finds them, for types that are not ours: most of a second of a new index."""
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def schema_version(connection: sqlite3.Connection) -> int:
    """How many migrations were applied."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
