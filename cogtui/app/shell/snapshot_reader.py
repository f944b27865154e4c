"""Reading of snapshots of a workspace."""

import time
from types import MappingProxyType

from cogtui.app.shell.snapshot import WorkspaceSnapshot
from jobs.planning.experiments import Experiment, load_experiments
from jobs.state.reader import StateReader
from jobs.workspace import Workspace


class SnapshotReader:
    """Reads snapshots; caches experiments, whose files never change."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._files: tuple[str, ...] = ()
        self._experiments: tuple[Experiment, ...] = ()
        self._problems: tuple[str, ...] = ()
        self._reader = StateReader(workspace)

    def read(self) -> WorkspaceSnapshot:
        """Read the workspace. May take seconds, because it asks the scheduler."""
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
        return WorkspaceSnapshot(self._experiments, MappingProxyType(states), self._problems, time.time())
