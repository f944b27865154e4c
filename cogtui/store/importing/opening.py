"""Opening rollout files to look at them: an import into a cache folder, its first rows at once, the rest beside."""

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
from cogtui.store.importing.run import run_import
from cogtui.store.index import Store, open_store
from cogtui.store.user_data import annotations as human
from cogtui.store.user_data import notes
from jobs.workspace import Workspace
from pipelines.folder import Progress

_FORGET_AFTER_S: Final = 14 * 24 * 3600.0
_STOP_WITHIN_S: Final = 5.0


class OpenedFiles:
    """Files opened for looking at. The first rows are there; a process beside reads the rest.

    Attributes:
        plan: what the files were taken for.
        workspace: the folder in the cache they are read into; opening the same files again goes on there.
    """

    def __init__(self, plan: ImportPlan, workspace: Workspace, request: str) -> None:
        self.plan = plan
        self.workspace = workspace
        self._request = request
        self._process: subprocess.Popen[bytes] | None = None

    def first_rows(self) -> bool:
        """Reads some rows here and now; whether that was all."""
        done = False
        for state in run_import(self.plan, self.workspace, link=True):
            done = state.done
            if state.rows:
                break
        with open_store(self.workspace) as store:
            store.ingest(briefly=True)
        return done

    def store(self) -> Store:
        """The index of the files, kept up to date until it is closed. For use as the app's opener."""
        store = open_store(self.workspace)
        store.follow()
        return store

    def read_on(self) -> None:
        """Starts to read the rest in a process of its own."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cogtui.store.importing.opening", self._request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def progress(self) -> Progress | None:
        """How many rows were read so far."""
        return self.workspace.folder(self.plan.key).progress()

    def done(self) -> bool:
        """Whether all rows were read."""
        return self.workspace.folder(self.plan.key).result() is not None

    def unreadable(self) -> tuple[int, str]:
        """How many rows could not be read, once all was gone through; place and reason of the first."""
        result = self.workspace.folder(self.plan.key).result() or {}
        named = [f"{Path(file['path']).name}: {row}" for file in result.get("files", ()) for row in file["named"]]
        return int(result.get("bad", 0)), named[0] if named else ""

    def cancel(self) -> None:
        """Stops reading; opening the same files again goes on from there."""
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
    """Opens rollout files; reads their first rows and starts to read the rest.

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
    """The workspace that opened files have, all of them read: for commands on what people wrote of them.

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
    _keep_what_people_write(workspace, plan.key)
    return workspace


def _keep_what_people_write(workspace: Workspace, key: str) -> None:
    """Notes and annotations lie outside the cache, which may be emptied; where that cannot be, they stay in it."""
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    home = data if data.is_absolute() else Path.home() / ".local" / "share"
    for name in (notes.FOLDER, human.FOLDER):
        link = workspace.path / name
        with contextlib.suppress(OSError):
            if not link.exists():
                kept = home / "cogtui" / "opened" / key / name
                kept.mkdir(parents=True, exist_ok=True)
                link.symlink_to(kept, target_is_directory=True)


def _forget_old(root: Path) -> None:
    """Removes what was opened long ago: it can be made again from the files."""
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
