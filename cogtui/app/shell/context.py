"""What every screen shares: the workspace, the latest snapshot, and the threads that read things."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from textual.app import App
from textual.signal import Signal

from cogtui.app.shell.resource_thread import ResourceThread
from cogtui.app.shell.snapshot import WorkspaceSnapshot

if TYPE_CHECKING:  # imported by the threads that use them, after the first paint
    from cogtui.app.shell.snapshot_reader import SnapshotReader
    from cogtui.store import RolloutRow, Store
    from jobs.workspace import Workspace
    from pipelines.folder import Progress


class FileImport(Protocol):
    """Files that are still being read into what the browser shows."""

    def progress(self) -> Progress | None:
        """How far it is."""

    def done(self) -> bool:
        """Whether all was read."""

    def unreadable(self) -> tuple[int, str]:
        """How many rows could not be read, once all was gone through; place and reason of the first."""

    def cancel(self) -> None:
        """Stops it."""


@dataclass(slots=True)
class Context:
    """Owned by the app, used by its screens."""

    workspace: Workspace
    title: str
    """What the top bar calls the place: the workspace's folder, or the files opened."""
    store: ResourceThread[Store]
    snapshots: ResourceThread[SnapshotReader]
    work: ResourceThread[None] = field(default_factory=lambda: ResourceThread("cogtui-work", lambda: None))
    """For log files and sums: what is slow for a moment."""
    control: ResourceThread[None] = field(default_factory=lambda: ResourceThread("cogtui-control", lambda: None))
    """For starting and cancelling, which may take as long as a stage has to end by itself."""
    reading: FileImport | None = None
    """Files that the browser was opened on; None for a workspace."""
    snapshot: WorkspaceSnapshot = field(default_factory=WorkspaceSnapshot)
    """The latest one."""
    marked: RolloutRow | None = None
    """The rollout picked to be compared with another."""
    judging: ResourceThread[Store] = field(init=False)
    """For comparing judges: a view of the index of its own, so that no list waits for it."""

    def __post_init__(self) -> None:
        self.judging = ResourceThread("cogtui-judging", self._open_index, lambda store: store.close())

    def _open_index(self) -> Store:
        from cogtui.store import open_store

        return open_store(self.workspace)


class SharesContext(Protocol):
    """The app as its screens see it."""

    context: Context
    snapshot_signal: Signal[WorkspaceSnapshot]
    """Published after each poll whose snapshot was read."""
    store_signal: Signal[int]
    """Published when the index changed, with its version."""
    modes_shown: tuple[tuple[str, str], ...]
    """Key and title of each mode."""


def shared(app: App[object]) -> SharesContext:
    """The app with what its screens share."""
    return cast("SharesContext", app)
