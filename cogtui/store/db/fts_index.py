"""The words of all completions, in a file of their own beside the index.

They cost more to write than everything else, so a bulk load writes them from a second process while rows go into
the index; one SQLite file has one writer. Words are always written first: a rollout the index has can be searched.
What a killed process wrote without its rows is found by nobody, because serials are never given out twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipelines.errors import CogtuiError

SCHEMA: Final = "fts"
"""Name under which readers have the file attached."""
BUSY_S: Final = 20.0
CACHE_KIB: Final = 16 * 1024
PAGE_BYTES: Final = 8192
"""Of this file and of the index."""
CHECKPOINT_PAGES: Final = 8192
"""64 MB of log between checkpoints: pages that every batch changes are copied into the file once, not every time."""
LEAF_BYTES: Final = 8000
"""A leaf of the words fills one page of the file."""
HASH_BYTES: Final = 64 * 2**20
"""Of words in memory before they are written: those of one transaction."""
_INSERT: Final = "INSERT INTO completion_fts (rowid, completion) VALUES (?, ?)"


class FtsLeaseLost(CogtuiError):
    """Another process writes the words now."""

    code = "lease_lost"


def fts_statements(schema: str) -> tuple[str, ...]:
    """Statements that make the tables where there are none."""
    return (
        # Words and their positions, no text (the files have it), no sizes (nothing is ranked).
        f"""CREATE VIRTUAL TABLE IF NOT EXISTS {schema}.completion_fts USING fts5(
            completion, content='', columnsize=0, tokenize='unicode61 remove_diacritics 0')""",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('automerge', 8)",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('hashsize', {HASH_BYTES})",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('pgsz', {LEAF_BYTES})",
        # token: of the lease whose holder may write; upto: all serials up to this one were given out.
        f"""CREATE TABLE IF NOT EXISTS {schema}.fts_state (
            id INTEGER PRIMARY KEY, token TEXT NOT NULL, last_serial INTEGER NOT NULL)""",
        f"INSERT OR IGNORE INTO {schema}.fts_state VALUES (1, '', 0)",
    )


def fts_path(index: Path) -> Path:
    """The file beside an index."""
    return index.with_name(index.name + "-fts")


def create_fts(index: Path, journal: str) -> None:
    """Makes the file of an index if there is none. Several processes may try at once.

    Args:
        journal: SQLite's journal mode.
    """
    with contextlib.closing(sqlite3.connect(fts_path(index), isolation_level=None, timeout=BUSY_S)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in fts_statements("main"):
            connection.execute(statement)
        connection.execute("COMMIT")


class FtsIndex:
    """Writes words. Belongs to the process that holds the lease, or to its helper, never to both at a time."""

    def __init__(self, index: Path) -> None:
        self._db = sqlite3.connect(
            f"{fts_path(index).as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=BUSY_S,
            check_same_thread=False,
        )
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA temp_store = MEMORY")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def claim(self, token: str) -> None:
        """From now on the holder of this lease writes, and whoever did before cannot any more."""
        if self._state()[0] != token:
            self._db.execute("UPDATE fts_state SET token = ?", (token,))

    def last_serial(self) -> int:
        """The highest serial given out."""
        return self._state()[1]

    def add(self, token: str, texts: Iterable[tuple[int, str]], upto: int) -> None:
        """Writes the words of some rollouts, all or none.

        Args:
            texts: serials that were not given out yet, and completions.
            upto: the highest of the serials.

        Raises:
            WordsTaken: the holder of another lease writes now.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._state()[0] != token:
                raise FtsLeaseLost("another process writes the index now")
            self._db.executemany(_INSERT, texts)
            self._db.execute("UPDATE fts_state SET last_serial = max(last_serial, ?)", (upto,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _state(self) -> tuple[str, int]:
        token, upto = self._db.execute("SELECT token, last_serial FROM fts_state").fetchone()
        return str(token), int(upto)
