"""The writing side of a store: its own connection, the lease, and what is written through them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cogtui.store.db.connection import connect, transaction
from cogtui.store.db.fts_index import FtsIndex
from cogtui.store.db.lease import Lease
from cogtui.store.ingest.annotation_rows import sync_annotations
from cogtui.store.ingest.ingest import Ingester, IngestProgress
from cogtui.store.user_data.notes import sync_notes
from jobs.workspace import Workspace


class IndexWriter:
    """Writes one index file."""

    def __init__(self, path: Path, workspace: Workspace) -> None:
        self.path = path
        self._workspace = workspace
        self._db: sqlite3.Connection = connect(path, search=False)
        self.lease = Lease(self._db)
        self._ingester: Ingester | None = None
        self._words: FtsIndex | None = None

    def take(self) -> bool:
        """Takes the lease if it can be had."""
        return self.lease.take()

    def release(self) -> None:
        """Gives the lease back."""
        self.lease.release()

    def round(self) -> Iterator[IngestProgress]:
        """One round of ingest; the lease must be held.

        Raises:
            LeaseLost: another process writes the index now.
        """
        if self._ingester is None:
            self._words = FtsIndex(self.path)
            self._ingester = Ingester(self._db, self._words, self._workspace, self.lease)
        return self._ingester.round()

    def sync_notes(self) -> None:
        """Shows notes just written, whoever holds the lease: a short transaction that says the same from anyone."""
        with transaction(self._db):
            sync_notes(self._db, self._workspace)

    def sync_annotations(self) -> None:
        """Shows annotations just written, likewise."""
        with transaction(self._db):
            sync_annotations(self._db, self._workspace)

    def close(self) -> None:
        """Gives the lease back and closes the connection."""
        self.release()
        self._db.close()
        if self._words is not None:
            self._words.close()
