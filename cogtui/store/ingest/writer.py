"""The writing side of a store: a connection of its own, the lease, and the ingester."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cogtui.store.db.connection import connect, transaction, translate_sqlite_errors
from cogtui.store.db.fts_index import FtsIndex
from cogtui.store.db.lease import Lease
from cogtui.store.ingest.annotation_rows import sync_annotations
from cogtui.store.ingest.ingest import Ingester, IngestProgress
from cogtui.store.user_data.notes import sync_notes
from jobs.workspace import Workspace


class IndexWriter:
    """Writes one index file."""

    def __init__(self, path: Path, workspace: Workspace, *, watching: bool = False) -> None:
        """Open an index for writing.

        Args:
            path: the index file.
            workspace: whose records it holds.
            watching: look at quiet stages rarely: for a process that runs round after round.
        """
        self.path = path
        self._watching = watching
        self._workspace = workspace
        self._db: sqlite3.Connection = connect(path, search=False)
        self.lease = Lease(self._db)
        self._ingester: Ingester | None = None
        self._fts: FtsIndex | None = None

    def take(self) -> bool:
        """Take the lease if it is free; return whether this process has it.

        Raises:
            MissingRequirement: the disk is full or cannot be written. DamagedIndex: the index is.
        """
        with translate_sqlite_errors(self.path):
            return self.lease.take()

    def release(self) -> None:
        """Give the lease up."""
        self.lease.release()

    def round(self) -> Iterator[IngestProgress]:
        """Run one round of ingest; the lease must be held.

        Raises:
            LeaseLost: another process writes the index now.
        """
        if self._ingester is None:
            self._fts = FtsIndex(self.path)
            self._ingester = Ingester(self._db, self._fts, self._workspace, self.lease, watching=self._watching)
        return self._ingester.round()

    def sync_notes(self) -> None:
        """Index new notes without the lease: a short transaction with the same result from any process."""
        with translate_sqlite_errors(self.path), transaction(self._db):
            sync_notes(self._db, self._workspace)

    def sync_annotations(self) -> None:
        """Index new annotations without the lease, likewise."""
        with translate_sqlite_errors(self.path), transaction(self._db):
            sync_annotations(self._db, self._workspace)

    def close(self) -> None:
        """Give the lease up and close the connections."""
        self.release()
        self._db.close()
        if self._fts is not None:
            self._fts.close()
