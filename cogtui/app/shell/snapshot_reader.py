"""Reading of snapshots of a workspace."""

import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.shell.stage_figures import StageFigures, read_figures
from jobs.planning.archive import ARCHIVED
from jobs.planning.experiment_notes import NotesOnExperiment, note_files, read_experiment_notes
from jobs.planning.experiments import Experiment, load_experiments
from jobs.state.reader import StateReader
from jobs.state.types import StageState
from jobs.workspace import Workspace

SCHEDULER_PATIENCE_S: Final = 0.5
"""Seconds that a screen waits for Slurm, which mostly answers in a tenth of it; a late answer shows at a later poll."""
_FIRST_STAGES: Final = 200
"""Stages that the first look at a larger workspace reads: more than a screen shows, in 0.05 s of CPU."""
_FIRST_FIGURES_S: Final = 0.05
_FIGURES_S: Final = 0.3
"""Seconds that one read may spend on figures."""


class SnapshotReader:
    """Reads snapshots; caches experiments, whose files never change."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._was_there = False
        self._files: tuple[str, ...] = ()
        self._experiments: tuple[Experiment, ...] = ()
        self._problems: tuple[str, ...] = ()
        self._reader = StateReader(workspace, scheduler_patience_s=SCHEDULER_PATIENCE_S, watching=True)
        self._note_files: tuple[tuple[str, int, int], ...] = ()
        self._notes: Mapping[str, NotesOnExperiment] = MappingProxyType({})
        self._last = WorkspaceSnapshot()
        self._complete = False
        """Whether the last snapshot has all figures."""
        self._figures: dict[str, tuple[int, StageFigures]] = {}

    def read(self) -> WorkspaceSnapshot:
        """Read the workspace, and what Slurm says if it answers at once.

        The first snapshot of a large workspace has the states that are shown first, and counts the others as unread.

        Returns the previous snapshot if nothing changed and nothing is active.

        Raises:
            NotFound: the workspace is not there any more.
        """
        self._require_workspace()
        if not self._last.read:
            self._read_experiments()
        notes = note_files(self.workspace)
        if notes != self._note_files:
            self._notes = MappingProxyType(read_experiment_notes(self.workspace))
            self._note_files = notes
        first = () if self._last.read else self._first_keys()
        states = self._reader.read(first or None)
        unread = self._stage_count() - len(states) if first else 0
        if self._last.read and self._reader.may_have_changed:
            self._read_experiments()
        self._require_workspace()  # it may have been moved while it was read
        if not unread and self._is_last(states):
            return self._last
        figures = self._read_figures(states)
        self._last = WorkspaceSnapshot(
            self._experiments,
            MappingProxyType(states),
            self._problems,
            time.time(),
            MappingProxyType(figures),
            max(0, unread),
            notes=self._notes,
        )
        return self._last

    def _read_experiments(self) -> None:
        folder = self.workspace.experiments
        files = tuple(sorted(str(path) for name in ("[!.]*.json", ARCHIVED) for path in folder.glob(f"*/{name}")))
        if files != self._files:
            damaged: list[str] = []
            newest: dict[str, Experiment] = {}
            for experiment in load_experiments(self.workspace, damaged=damaged):
                newest.pop(experiment.name, None)
                newest[experiment.name] = experiment
            self._experiments = tuple(reversed(newest.values()))
            self._problems = tuple(damaged)
            self._files = files

    def _stage_count(self) -> int:
        try:
            return len(os.listdir(self.workspace.stages))  # noqa: PTH208
        except OSError:
            return 0

    def _first_keys(self) -> list[str]:
        """Return the stages of the newest experiment to read before all others; none where all take no longer."""
        if not self._experiments or self._stage_count() <= 2 * _FIRST_STAGES:
            return []
        keys = dict.fromkeys(key for cell in self._experiments[0].cells for key in cell.stages.values())
        return list(keys)[:_FIRST_STAGES]

    def _require_workspace(self) -> None:
        if self._was_there:
            self.workspace.require_still_there()
        self._was_there = self.workspace.path.is_dir()

    def _is_last(self, states: dict[str, StageState]) -> bool:
        """Whether nothing changed and nothing is active, whose times are shown."""
        last = self._last
        if (
            not self._complete
            or last.experiments is not self._experiments
            or last.notes is not self._notes
            or len(states) != len(last.states)
        ):
            return False
        if not self._reader.may_have_changed:
            return True
        return all(last.states.get(key) is state and not state.active for key, state in states.items())

    def _read_figures(self, states: dict[str, StageState]) -> dict[str, StageFigures]:
        """Return the figures of finished stages, each read once for each attempt; those of thousands in several reads.

        The states are shown first: the figures of 2,000 stages take 0.2 s.
        """
        deadline = time.monotonic() + (_FIGURES_S if self._last.read else _FIRST_FIGURES_S)
        figures = {}
        self._complete = True
        for key, state in states.items():
            if state.state != "done":
                continue
            number = len(state.attempts)
            known = self._figures.get(key)
            if known is None or known[0] != number:
                if time.monotonic() > deadline:
                    self._complete = False
                    continue
                known = self._figures[key] = (number, read_figures(self.workspace, key, state.kind))
            figures[key] = known[1]
        return figures
