"""`Store`: the index of a workspace as the app and the commands use it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cogtui.store.db.connection import connect, connect_memory, ensure_index, translate_sqlite_errors
from cogtui.store.db.lease import LeaseHolder, lease_holder
from cogtui.store.db.location import IndexLocation, locate_index, publish
from cogtui.store.index_queries import IndexQueries
from cogtui.store.ingest.follower import Follower
from cogtui.store.ingest.writer import IndexWriter
from cogtui.store.user_data import notes
from cogtui.store.user_data.annotations import HumanAnnotation, check_annotation
from cogtui.store.user_data.annotations import append_annotations as append_human
from cogtui.store.values.types import (
    Coverage,
    Sort,
)
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, NotFound

REBUILDING: Final = (
    "the index is of an earlier cogtui or of other behaviour sets: it is being built again from the stage folders"
)


class Store(IndexQueries):
    """Queries and annotates the rollouts of a workspace. A store belongs to one thread; open one for each."""

    def __init__(self, workspace: Workspace, location: IndexLocation | None, *, readonly: bool) -> None:
        super().__init__(workspace)
        self._location = location
        self._readonly = readonly
        self._writer: IndexWriter | None = None
        self._follower: Follower | None = None
        self._is_following = False
        self._notices: list[str] = []
        self._open()

    def _open(self) -> None:
        self._path: Path | None = None
        if self._location is None:
            self._use(connect_memory())
        else:
            before = self._location.current()
            self._path = before if self._readonly else ensure_index(self._location)
            if before not in (None, self._path):
                self._notices.append(REBUILDING)
            if self._path is None:
                raise NotFound(
                    f"there is no index of {self._workspace.path} yet", remedy="Make it with cogtui reindex."
                )
            self._use(connect(self._path))
            self._db.execute("PRAGMA query_only = ON")

    @property
    def workspace(self) -> Workspace:
        """The workspace of this index."""
        return self._workspace

    @property
    def path(self) -> Path | None:
        """The index file; None for a workspace that does not exist yet."""
        return self._path

    def take_notices(self) -> list[str]:
        """Return messages about this index for the user, each once."""
        notices, self._notices = self._notices, []
        return notices

    # Keeping up to date

    def ingest(self, *, briefly: bool = False) -> Coverage:
        """Read all new complete lines into the index. Does nothing while another process does so.

        Args:
            briefly: stop after the first rows, to show something; `follow` or another call continues.
        """
        writer = self._writing()
        if writer is not None and writer.take():
            try:
                for _ in writer.round():
                    if briefly:
                        break
            finally:
                writer.release()
        return self.coverage()

    def follow(self) -> None:
        """Start a process that keeps the index up to date until this store is closed.

        For a workspace that does not exist yet, `version` starts it when the workspace appears.
        """
        self._is_following = True
        if self._follower is None and not self._readonly and self._location is not None:
            self._follower = Follower(self._workspace)

    def writer(self) -> LeaseHolder | None:
        """Return the process that writes the index now, or None."""
        return lease_holder(self._db)

    def version(self) -> int:
        """Return a number that changes whenever the index does; cheap enough to poll ten times a second."""
        if self._location is None:
            if self._workspace.path.is_dir():
                self._location = locate_index(self._workspace)
                self._reopen()
                if self._is_following:
                    self.follow()
        elif self._location.current() not in (None, self._path):
            self._reopen()
        return (self._opens << 40) + int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # What people write

    def annotate(self, rollout_id: str, *, note: str | None = None, tags: Iterable[str] | None = None) -> None:
        """Set the note or the tags of a rollout, in files outside the index.

        Raises:
            NotFound: there is no such rollout. InvalidInput: a tag is not valid.
            MissingRequirement: the workspace cannot be written.
        """
        uid = self.rollout(rollout_id).row.id
        self.write_annotations([notes.new_note(uid, note=note, tags=tags)])

    def write_annotations(self, annotations: Iterable[notes.Note]) -> None:
        """Append notes made elsewhere, and index them."""
        if self._readonly:
            raise InvalidInput("this store was opened for reading only")
        notes.append_notes(self._workspace, annotations)
        writer = self._writing()
        if writer is not None:
            writer.sync_notes()

    def write_human(self, annotations: Iterable[HumanAnnotation], *, after: str | None = "") -> None:
        """Append annotations, and index them.

        Args:
            annotations: are checked against the texts of their rollouts.
            after: stamp of the annotation that was edited (None: there was none). If the current one is another, it
                was changed elsewhere, and nothing is written. An empty stamp skips this check.

        Raises:
            NotFound: there is no such rollout. InvalidInput: a span is not valid, or see `after`.
            MissingRequirement: the workspace cannot be written.
        """
        if self._readonly:
            raise InvalidInput("this store was opened for reading only")
        kept = list(annotations)
        writer = self._writing()
        if after != "" and writer is not None:
            writer.sync_annotations()  # another host writes its own file, which this index may not have read yet
        for one in kept:
            check_annotation(one, self.rollout(one.rollout).completion)
            standing = self.human(one.rollout, one.annotator) if after != "" else None
            if after != "" and (None if standing is None else standing.stamp) != after:
                if one.is_adjudication and standing is not None:
                    raise InvalidInput(
                        f"{standing.adjudicator} decided this rollout meanwhile",
                        remedy="Leave it and come back to see that decision; a new one then replaces it.",
                    )
                raise InvalidInput(
                    f"{one.annotator} annotated this rollout elsewhere meanwhile", remedy="Leave it and come back."
                )
        append_human(self._workspace, kept)
        if writer is not None:
            writer.sync_annotations()

    def interrupt(self) -> None:
        """Interrupt the query of another thread on this store; it raises `sqlite3.OperationalError` there."""
        self._db.interrupt()

    def close(self) -> None:
        """Close the index and stop `follow`."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._db.close()

    def _reopen(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._db.close()
        self._open()

    def _writing(self) -> IndexWriter | None:
        if self._readonly:
            return None
        self.version()  # another process may have built a newer index, or created the workspace
        if self._path is None or self._location is None:
            return None
        if self._writer is None:
            publish(self._workspace, self._location, self._path)
            self._writer = IndexWriter(self._path, self._workspace)
        return self._writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with translate_sqlite_errors(self._path):
            self.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise error


def open_store(workspace: Workspace, *, readonly: bool = False) -> Store:
    """Open the index of a workspace; create it if there is none.

    Args:
        workspace: one that does not exist yet counts as empty.
        readonly: never write the index, not even to create it.

    Raises:
        MissingRequirement: there is no writable folder for the index.
        NotFound: readonly, and there is no index yet.
        DamagedIndex: the index file is corrupt; `cogtui reindex` rebuilds it.
    """
    location = locate_index(workspace) if workspace.path.is_dir() else None
    return Store(workspace, location, readonly=readonly)


__all__ = ["Sort", "Store", "open_store"]
