"""Opening rollout files without a workspace: an import into a cache folder, whose rest a second process reads."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cogtui.store.db.location import cache_folder
from cogtui.store.importing.plan import ImportPlan, plan_import
from cogtui.store.importing.run import ImportRunningError, refuse_if_nothing_was_read, run_import
from cogtui.store.index import Store, open_store
from cogtui.store.user_data import annotations as human
from cogtui.store.user_data import notes
from jobs.user import home_folder
from jobs.workspace import Workspace
from pipelines.folder import Progress

_FORGET_AFTER_S: Final = 14 * 24 * 3600.0
_STOP_WITHIN_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.05


class OpenedFiles:
    """Opened files. The first rows are imported; a second process imports the rest.

    Attributes:
        plan: how the files are read.
        workspace: the cache folder they are imported into; opening the same files again continues there.
    """

    def __init__(self, plan: ImportPlan, workspace: Workspace, request: str) -> None:
        self.plan = plan
        self.workspace = workspace
        self._request = request
        self._process: subprocess.Popen[bytes] | None = None

    def first_rows(self) -> bool:
        """Import the first rows; return whether these are all.

        Raises:
            InvalidInput: all rows are bad.
        """
        done = False
        while True:
            try:
                for state in run_import(self.plan, self.workspace, link=True, wait=False):
                    done = state.done
                    if state.rows:
                        break
                break
            except ImportRunningError:  # another process has just opened the same files
                if self._has_rows():
                    break
                time.sleep(_LOOK_AGAIN_S)
        if done:
            refuse_if_nothing_was_read(state, self.workspace)
        with open_store(self.workspace) as store:
            store.ingest(briefly=True)
        return done

    def _has_rows(self) -> bool:
        folder = self.workspace.folder(self.plan.key).path
        return any(path.stat().st_size > 0 for path in folder.glob("*.jsonl"))

    def store(self) -> Store:
        """Open the index of the files and keep it up to date until it is closed. An opener for the app."""
        store = open_store(self.workspace)
        store.follow()
        return store

    def read_on(self) -> None:
        """Start a process that imports the rest."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cogtui.store.importing.opening", self._request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def progress(self) -> Progress | None:
        """Return how many rows were imported so far."""
        return self.workspace.folder(self.plan.key).progress()

    def done(self) -> bool:
        """Return whether all rows were imported."""
        return self.workspace.folder(self.plan.key).result() is not None

    def unreadable(self) -> tuple[int, str]:
        """Return how many rows have no rollout, once all were read, and place and reason of the first."""
        result = self.workspace.folder(self.plan.key).result() or {}
        named = [f"{Path(file['path']).name}: {row}" for file in result.get("files", ()) for row in file["named"]]
        return int(result.get("bad", 0)), named[0] if named else ""

    def cancel(self) -> None:
        """Stop the import; opening the same files again resumes it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def open_files(
    paths: Sequence[Path],
    *,
    chosen: str = "auto",
    mapping: Mapping[str, str] | None = None,
    labels: Mapping[str, str | int] | None = None,
) -> OpenedFiles:
    """Open rollout files: import their first rows and start to import the rest.

    Arguments and errors as for `plan_import`; also MissingRequirement where no cache folder can be written.
    """
    plan = plan_import(paths, chosen=chosen, mapping=mapping, labels=labels)
    workspace = _cached(plan)
    request = json.dumps(
        {
            "paths": [str(path.absolute()) for path in paths],
            "chosen": chosen,
            "mapping": dict(mapping or {}),
            "labels": dict(labels or {}),
            "workspace": str(workspace.path),
        }
    )
    opened = OpenedFiles(plan, workspace, request)
    if not opened.first_rows():
        opened.read_on()
    return opened


def read_files(paths: Sequence[Path], *, chosen: str = "auto") -> Workspace:
    """Import files completely and return their workspace, for commands on annotations of opened files.

    Arguments and errors as for `open_files`.
    """
    plan = plan_import(paths, chosen=chosen)
    workspace = _cached(plan)
    for _ in run_import(plan, workspace, link=True):
        pass
    return workspace


def _cached(plan: ImportPlan) -> Workspace:
    root = cache_folder("opened")
    _forget_old(root)
    workspace = Workspace(root / plan.key)
    workspace.create()
    os.utime(workspace.path)
    keep_user_data(workspace, plan.key)
    return workspace


def keep_user_data(workspace: Workspace, key: str) -> None:
    """Link the folders of notes and annotations to a place outside the cache, which may be emptied."""
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    user_home = home_folder()
    if not data.is_absolute() and user_home is None:
        return  # they stay in the cache, where imports with notes are never removed
    home = data if data.is_absolute() or user_home is None else user_home / ".local" / "share"
    for name in (notes.FOLDER, human.FOLDER):
        link = workspace.path / name
        with contextlib.suppress(OSError):
            if not link.exists():
                kept = home / "cogtui" / "opened" / key / name
                kept.mkdir(parents=True, exist_ok=True)
                link.symlink_to(kept, target_is_directory=True)


def _forget_old(root: Path) -> None:
    """Remove imports that were not opened for long; they can be made again from the files."""
    for path in root.iterdir():
        with contextlib.suppress(OSError):
            mine = any(
                (path / name).is_dir() and not (path / name).is_symlink() for name in (notes.FOLDER, human.FOLDER)
            )
            if not mine and time.time() - path.stat().st_mtime > _FORGET_AFTER_S:
                shutil.rmtree(path)


def _read_on(request: str) -> None:
    asked = json.loads(request)
    plan = plan_import(
        [Path(path) for path in asked["paths"]],
        chosen=asked["chosen"],
        mapping=asked["mapping"],
        labels=asked["labels"],
    )
    for _ in run_import(plan, Workspace(Path(asked["workspace"])), link=True):
        pass


if __name__ == "__main__":
    os.nice(5)
    _read_on(sys.argv[1])
