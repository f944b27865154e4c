"""Data and threads that all screens share."""

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
    """Progress of the files that the browser was opened on."""

    def progress(self) -> Progress | None:
        """Return the progress."""

    def done(self) -> bool:
        """Return whether all files were read."""

    def unreadable(self) -> tuple[int, str]:
        """Return the number of unreadable rows after the end, and place and reason of the first."""

    def cancel(self) -> None:
        """Stop reading."""


@dataclass(slots=True)
class Context:
    """The workspace, the latest snapshot and the background threads; owned by the app."""

    workspace: Workspace
    title: str
    """The place shown in the top bar: the workspace's folder, or the opened files."""
    store: ResourceThread[Store]
    snapshots: ResourceThread[SnapshotReader]
    work: ResourceThread[None] = field(default_factory=lambda: ResourceThread("cogtui-work", lambda: None))
    """For log files and computations that take a moment."""
    control: ResourceThread[None] = field(default_factory=lambda: ResourceThread("cogtui-control", lambda: None))
    """For starting and cancelling stages, which can take as long as a stage needs to end by itself."""
    file_import: FileImport | None = None
    """Files that are being read; None for a workspace."""
    snapshot: WorkspaceSnapshot = field(default_factory=WorkspaceSnapshot)
    """The latest snapshot."""
    experiment: str = ""
    """Name of the experiment chosen last, which modes show first; empty before one was chosen."""
    marked: RolloutRow | None = None
    """The rollout marked for a comparison."""
    judging: ResourceThread[Store] = field(init=False)
    """A second connection to the index for comparing judges, so that lists do not wait for it."""

    def __post_init__(self) -> None:
        self.judging = ResourceThread("cogtui-judging", self._open_index, lambda store: store.close())

    def _open_index(self) -> Store:
        from cogtui.store import open_store

        return open_store(self.workspace)


class SharesContext(Protocol):
    """The interface of the app that screens use."""

    context: Context
    snapshot_signal: Signal[WorkspaceSnapshot]
    """Published after each successful poll."""
    store_signal: Signal[int]
    """Published with the version of the index when it changed."""
    modes_shown: tuple[tuple[str, str], ...]
    """Key and title of each mode."""


def shared(app: App[object]) -> SharesContext:
    """Return the app, typed as what screens use of it."""
    return cast("SharesContext", app)
