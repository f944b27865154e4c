"""Start of the app on a workspace, or on a store of opened files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from cogtui.app.application import CogtuiApp
from cogtui.app.mode_screens import ALL_MODES, BROWSING_MODES
from cogtui.app.shell.context import Context, FileImport
from cogtui.app.shell.resource_thread import ResourceThread
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement

if TYPE_CHECKING:
    from cogtui.app.shell.snapshot_reader import SnapshotReader
    from cogtui.store import Store
    from cogtui.store.importing.opening import OpenedFiles
    from cogtui.store.showcase import Showcase


def make_app(
    workspace: Workspace,
    *,
    title: str = "",
    browse_only: bool = False,
    modes: Sequence[str] | None = None,
    opener: Callable[[], Store] | None = None,
    file_import: FileImport | None = None,
) -> CogtuiApp:
    """Make the app.

    Args:
        workspace: may not exist yet; it is then shown as empty.
        title: what to call the place; the workspace's folder by default.
        browse_only: offer the trace browser alone.
        modes: titles of the modes to offer, the first one shown first; all by default.
        opener: opens the store to browse, in its own thread; the workspace's index by default.
        file_import: the files that are still being read into that store.
    """

    def open_index() -> Store:
        if opener is not None:
            return opener()
        from cogtui.store import open_store

        store = open_store(workspace)
        store.follow()
        return store

    def reader() -> SnapshotReader:
        from cogtui.app.shell.snapshot_reader import SnapshotReader

        return SnapshotReader(workspace)

    context = Context(
        workspace,
        title or str(workspace.path),
        ResourceThread("cogtui-store", open_index, lambda store: store.close()),
        ResourceThread("cogtui-states", reader),
        file_import=file_import,
    )
    return CogtuiApp(context, modes or (BROWSING_MODES if browse_only else ALL_MODES))


def require_terminal() -> None:
    """Check that there is a terminal to draw on.

    Raises:
        MissingRequirement: one of the standard streams is no terminal (Textual draws on stderr), or a dumb one.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams) or os.environ.get("TERM") == "dumb":
        raise MissingRequirement(
            "the app needs a terminal to draw on",
            remedy="Use cogtui ls, show, logs, rollouts and trace, which print; with --json for programs.",
        )


def run_app(workspace: Workspace) -> None:
    """Run the app on a workspace until the user quits; jobs keep running.

    Raises:
        MissingRequirement: there is no terminal.
    """
    require_terminal()
    make_app(workspace).run()


SHOWCASE_MODES: Final = ("Traces", "Experiments", "Curves", "Judges")


def show_showcase(showcase: Showcase) -> None:
    """Run the app on the unpacked showcase, without the jobs, until the user quits.

    Raises:
        MissingRequirement: there is no terminal.
    """
    require_terminal()
    make_app(showcase.workspace, title="showcase", modes=SHOWCASE_MODES).run()


def browse(opened: OpenedFiles, title: str) -> None:
    """Run the trace browser on opened files until the user quits, then stop reading the files.

    Raises:
        MissingRequirement: there is no terminal.
    """
    try:
        require_terminal()
        make_app(opened.workspace, title=title, browse_only=True, opener=opened.store, file_import=opened).run()
    finally:
        opened.cancel()
