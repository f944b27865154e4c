"""Rebuilding the index in a new file, which then replaces the old one, so that open readers go on."""

import fcntl
import os
from collections.abc import Callable

from cogtui.store.db.connection import make_generation, translate_sqlite_errors
from cogtui.store.db.location import IndexLocation, locate_index, move_folder_away, publish
from cogtui.store.ingest.ingest import IngestProgress
from cogtui.store.ingest.writer import IndexWriter
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, NotFound


def rebuild(workspace: Workspace, report: Callable[[IngestProgress], None] = lambda progress: None) -> None:
    """Build a new index from the stage folders and notes, then make it the current one.

    Args:
        workspace: must exist.
        report: called with the progress.

    Raises:
        NotFound: there is no such workspace.
        InvalidInput: another process is rebuilding it.
        MissingRequirement: there is no writable folder for the index.
    """
    if not workspace.path.is_dir():
        raise NotFound(f"there is no workspace {workspace.path}", remedy="Name one with --workspace.")
    location = locate_index(workspace)
    descriptor = os.open(location.folder / ".rebuild.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(
                f"the index of {workspace.path} is being rebuilt by another process", remedy="Wait until it is done."
            ) from None
        _remove_abandoned(location)
        with translate_sqlite_errors(location.folder):
            path = make_generation(location)
            writer = IndexWriter(path, workspace)
            try:
                writer.take()
                for progress in writer.round():
                    report(progress)
                for progress in writer.round():  # records written during the first round
                    report(progress)
            finally:
                writer.close()
        location.point_to(path)
        publish(workspace, location, path)
    finally:
        os.close(descriptor)


def _remove_abandoned(location: IndexLocation) -> None:
    """Delete index files newer than the current one, which killed rebuilds left behind."""
    current = location.current()
    for path in location.folder.glob("index-*.db*"):
        if current is not None and path.name > current.name and not path.name.startswith(current.name):
            move_folder_away(path)
            path.unlink(missing_ok=True)
