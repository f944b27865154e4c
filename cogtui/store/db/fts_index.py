"""The full-text index of completions, in a file of its own beside the index.

Writing it takes longer than writing all other rows, so a bulk load writes it from a second process; SQLite allows one
writer per file. Texts are always written before the rows of their rollouts, so every rollout in the index can be
searched. A process killed in between leaves texts without rows; no query returns them, because serials are never
reused.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipelines.errors import CogtuiError

SCHEMA: Final = "fts"
"""Schema name under which readers attach the file."""
BUSY_S: Final = 20.0
CACHE_KIB: Final = 16 * 1024
PAGE_BYTES: Final = 8192
"""Page size of this file and of the index."""
CHECKPOINT_PAGES: Final = 8192
"""64 MB of write-ahead log between checkpoints, so that pages changed by every batch are copied once."""
LEAF_BYTES: Final = 8000
"""FTS5 leaf size: one leaf fills one page."""
HASH_BYTES: Final = 64 * 2**20
"""FTS5 buffer for the terms of one transaction."""
_INSERT: Final = "INSERT INTO completion_fts (rowid, completion) VALUES (?, ?)"


class FtsLeaseLost(CogtuiError):
    """Another process has the lease and writes the full-text index."""

    code = "lease_lost"


def fts_statements(schema: str) -> tuple[str, ...]:
    """Return the statements that create the tables if they are missing.

    FTS5 options that sqlite-utils cannot express: contentless, without column sizes, with page and buffer sizes.
    """
    return (
        # Terms and positions only: the stage files have the texts, and nothing is ranked by length.
        f"""CREATE VIRTUAL TABLE IF NOT EXISTS {schema}.completion_fts USING fts5(
            completion, content='', columnsize=0, tokenize='unicode61 remove_diacritics 0')""",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('automerge', 8)",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('hashsize', {HASH_BYTES})",
        f"INSERT INTO {schema}.completion_fts (completion_fts, rank) VALUES ('pgsz', {LEAF_BYTES})",
        # token: the lease whose holder may write; last_serial: the highest serial ever assigned.
        f"""CREATE TABLE IF NOT EXISTS {schema}.fts_state (
            id INTEGER PRIMARY KEY, token TEXT NOT NULL, last_serial INTEGER NOT NULL)""",
        f"INSERT OR IGNORE INTO {schema}.fts_state VALUES (1, '', 0)",
    )


def fts_path(index: Path) -> Path:
    """Return the path of the full-text file of an index."""
    return index.with_name(index.name + "-fts")


def create_fts(index: Path, journal: str) -> None:
    """Create the full-text file of an index if it is missing. Several processes may try at once.

    Args:
        index: path of the index file.
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
    """Writes the full-text index: in the process that holds the lease or in its helper, never in both at once."""

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
        """Give the right to write to the holder of this lease and revoke it from the previous one."""
        if self._state()[0] != token:
            self._db.execute("UPDATE fts_state SET token = ?", (token,))

    def last_serial(self) -> int:
        """Return the highest serial ever assigned."""
        return self._state()[1]

    def add(self, token: str, texts: Iterable[tuple[int, str]], last_serial: int) -> None:
        """Index the completions of some rollouts in one transaction.

        Args:
            token: of the caller's lease.
            texts: unused serials with their completions.
            last_serial: the highest of these serials.

        Raises:
            FtsLeaseLost: another process has the lease.
        """
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if self._state()[0] != token:
                raise FtsLeaseLost("another process writes the index now")
            self._db.executemany(_INSERT, texts)
            self._db.execute("UPDATE fts_state SET last_serial = max(last_serial, ?)", (last_serial,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _state(self) -> tuple[str, int]:
        token, last_serial = self._db.execute("SELECT token, last_serial FROM fts_state").fetchone()
        return str(token), int(last_serial)
