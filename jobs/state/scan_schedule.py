"""`ScanSchedule`: which stages of a workspace to look at again, so that thousands of quiet ones cost nothing."""

import os
import time
from dataclasses import dataclass
from typing import Final

from jobs.attempts.tickets import SLURM_MARK, queue_folder
from jobs.workspace import Workspace

LONGEST_S: Final = 30.0
"""Seconds after which a stage is looked at again, however quiet it is."""
_SHARE: Final = 0.05
_SETTLED_NS: Final = 2_000_000_000
"""A folder modified more recently may change again within the same timestamp."""


@dataclass(slots=True)
class _Quiet:
    since: float
    due: float


class ScanSchedule:
    """Decides which stages to look at.

    A stage that did not change for T seconds is due after T / 20, at the latest after `LONGEST_S`. All are due as soon
    as anything was planned, started or ended in the local queue, or submitted to Slurm: each of these changes one of a
    few folders, which are looked at every time.
    """

    def __init__(self, workspace: Workspace) -> None:
        queue = queue_folder(workspace)
        self._counters = [str(path) for path in (workspace.stages, workspace.experiments, queue, queue / SLURM_MARK)]
        self._experiments = str(workspace.experiments)
        self._seen: tuple[int, ...] = ()
        self._quiet: dict[str, _Quiet] = {}
        self._now = 0.0

    def begin(self) -> bool:
        """Start a look at the workspace; return whether all stages are due."""
        self._now = time.monotonic()
        changes = self._changes()
        recent = time.time_ns() - max(changes) < _SETTLED_NS
        if changes != self._seen or recent:
            self._seen = changes
            for quiet in self._quiet.values():
                quiet.due = 0.0
            return True
        return False

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
        quiet.due = self._now + spread * min(LONGEST_S, _SHARE * (self._now - quiet.since))

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
