"""`ScanSchedule`: which stages of a workspace to look at again, so that thousands of quiet ones cost nothing."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jobs.attempts.tickets import SLURM_MARK, queue_folder
from jobs.state.folder_watch import FolderWatch
from jobs.workspace import Workspace

LONGEST_S: Final = 30.0
"""Seconds after which a stage is looked at again, however quiet it is, where its folders cannot be watched."""
WATCHED_S: Final = 900.0
"""The same where the kernel reports changes of its folders."""
WATCH_AFTER_S: Final = 60.0
"""Seconds without a change after which the folders of a stage are watched."""
_SHARE: Final = 0.05
_SETTLED_NS: Final = 2_000_000_000
"""A folder modified more recently may change again within the same timestamp."""


@dataclass(slots=True)
class _Quiet:
    since: float
    due: float
    watched: bool | None = None
    """Whether its folders are watched; None before that was tried."""


class ScanSchedule:
    """Decides which stages to look at.

    A stage that did not change for T seconds is due after T / 20, at the latest after `LONGEST_S`. All are due as soon
    as anything was planned, started or ended in the local queue, or submitted to Slurm: each of these changes one of a
    few folders, which are looked at every time. On local disks the folders of quiet stages are watched: such a stage is
    due when something changed in them, and after `WATCHED_S` in any case.
    """

    def __init__(self, workspace: Workspace) -> None:
        queue = queue_folder(workspace)
        self._counters = [str(path) for path in (workspace.stages, workspace.experiments, queue, queue / SLURM_MARK)]
        self._experiments = str(workspace.experiments)
        self._stages = str(workspace.stages)
        self._watch = FolderWatch()
        self._next_due = 0.0
        self._seen: tuple[int, ...] = ()
        self._quiet: dict[str, _Quiet] = {}
        self._now = 0.0

    def begin(self) -> bool:
        """Start a look at the workspace; return whether all stages are due."""
        self._now = time.monotonic()
        changed = self._watch.changed()
        for key in self._quiet if changed is None else changed:
            if (quiet := self._quiet.get(key)) is not None:
                quiet.since = quiet.due = self._next_due = self._now
        changes = self._changes()
        recent = time.time_ns() - max(changes) < _SETTLED_NS
        if changes != self._seen or recent:
            self._seen = changes
            self._next_due = 0.0
            for quiet in self._quiet.values():
                quiet.due = 0.0
            return True
        return False

    @property
    def is_idle(self) -> bool:
        """Whether no stage is due; valid until the next look, and after `end` alone."""
        return self._now < self._next_due

    def end(self, keys: Iterable[str]) -> None:
        """End a look at the workspace, after `looked` for each of its stages that was due."""
        dues = [-1.0 if (quiet := self._quiet.get(key)) is None else quiet.due for key in keys]
        self._next_due = min(dues, default=0.0)  # a folder that is no stage yet is looked at every time

    def is_due(self, key: str) -> bool:
        """Whether a stage is to be looked at now."""
        quiet = self._quiet.get(key)
        return quiet is None or quiet.due <= self._now

    def looked(self, key: str, *, changed: bool, age_s: float = 0.0) -> None:
        """Note a look at a stage.

        Args:
            key: of the stage.
            changed: whether it changed since the last look, or may change without changing its folder.
            age_s: for the first look, seconds since it last changed.
        """
        quiet = self._quiet.get(key)
        if quiet is None:
            quiet = self._quiet[key] = _Quiet(self._now - age_s, self._now)
        if changed:
            quiet.since = quiet.due = self._now
            return
        # stages that became quiet together are not looked at together
        spread = 0.75 + 0.25 * (hash(key) & 255) / 255
        age = self._now - quiet.since
        if quiet.watched and age > WATCH_AFTER_S:
            quiet.due = self._now + spread * WATCHED_S
            return
        quiet.due = self._now + spread * min(LONGEST_S, _SHARE * age)
        if quiet.watched is None and age > WATCH_AFTER_S:
            # The next look is soon: a change between this one and now is not reported.
            quiet.watched = self._watch.add(key, self._folders_of(key))

    def forget(self, key: str) -> None:
        """Drop a stage whose folder is gone."""
        self._quiet.pop(key, None)

    def _folders_of(self, key: str) -> list[str]:
        stage = f"{self._stages}/{key}"
        attempts = f"{stage}/attempts"
        try:
            with os.scandir(attempts) as found:
                return [stage, attempts, *(entry.path for entry in found if entry.is_dir(follow_symlinks=False))]
        except OSError:
            return [stage]

    def _changes(self) -> tuple[int, ...]:
        folders = [*self._counters]
        try:
            with os.scandir(self._experiments) as found:
                folders += sorted(entry.path for entry in found)
        except OSError:
            pass
        return tuple(_modified(path) for path in folders)


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
