"""Reading of snapshots of a workspace."""

import time
from types import MappingProxyType
from typing import Final

from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.shell.stage_figures import StageFigures, read_figures
from jobs.planning.experiments import Experiment, load_experiments
from jobs.state.reader import StateReader
from jobs.state.types import StageState
from jobs.workspace import Workspace

SCHEDULER_PATIENCE_S: Final = 0.5
"""Seconds that a screen waits for Slurm, which mostly answers in a tenth of it; a late answer shows at a later poll."""


class SnapshotReader:
    """Reads snapshots; caches experiments, whose files never change."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._was_there = False
        self._files: tuple[str, ...] = ()
        self._experiments: tuple[Experiment, ...] = ()
        self._problems: tuple[str, ...] = ()
        self._reader = StateReader(workspace, scheduler_patience_s=SCHEDULER_PATIENCE_S)
        self._figures: dict[str, tuple[int, StageFigures]] = {}

    def read(self) -> WorkspaceSnapshot:
        """Read the workspace, and what Slurm says if it answers at once.

        Raises:
            NotFound: the workspace is not there any more.
        """
        self._require_workspace()
        files = tuple(sorted(str(path) for path in self.workspace.experiments.glob("*/[!.]*.json")))
        if files != self._files:
            damaged: list[str] = []
            newest: dict[str, Experiment] = {}
            for experiment in load_experiments(self.workspace, damaged=damaged):
                newest.pop(experiment.name, None)
                newest[experiment.name] = experiment
            self._experiments = tuple(reversed(newest.values()))
            self._problems = tuple(damaged)
            self._files = files
        states = self._reader.read()
        self._require_workspace()  # it may have been moved while it was read
        figures = {key: self._figures_of(state) for key, state in states.items() if state.state == "done"}
        return WorkspaceSnapshot(
            self._experiments, MappingProxyType(states), self._problems, time.time(), MappingProxyType(figures)
        )

    def _require_workspace(self) -> None:
        if self._was_there:
            self.workspace.require_still_there()
        self._was_there = self.workspace.path.is_dir()

    def _figures_of(self, state: StageState) -> StageFigures:
        """Return the figures of a finished stage, read once for each attempt."""
        number = len(state.attempts)
        known = self._figures.get(state.key)
        if known is None or known[0] != number:
            known = self._figures[state.key] = (number, read_figures(self.workspace, state.key, state.kind))
        return known[1]
