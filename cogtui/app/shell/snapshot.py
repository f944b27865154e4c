"""Experiments and stage states of a workspace at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the app paints first; the reading thread imports what it needs
    from cogtui.app.shell.stage_figures import StageFigures
    from jobs.planning.experiment_notes import NotesOnExperiment
    from jobs.planning.experiments import Experiment
    from jobs.state.types import StageState


@dataclass(frozen=True, slots=True)
class WorkspaceSnapshot:
    """The states read at the time `taken`."""

    experiments: tuple[Experiment, ...] = ()
    """The newest start of each experiment, the newest first."""
    states: Mapping[str, StageState] = field(default_factory=lambda: MappingProxyType({}))
    """By stage key."""
    problems: tuple[str, ...] = ()
    """Unreadable files, one line each."""
    taken: float = 0.0
    """Seconds since the epoch; 0 before the first read."""
    figures: Mapping[str, StageFigures] = field(default_factory=lambda: MappingProxyType({}))
    """Final figures of finished stages, by key."""
    unread: int = 0
    """Stages whose state is not read yet: a first look at a large workspace reads those that are shown first."""
    notes: Mapping[str, NotesOnExperiment] = field(default_factory=lambda: MappingProxyType({}))
    """Notes and tags of people on experiments, by name."""
    stale: str = ""
    """Why the workspace can no longer be read, in two words for the top bar; empty while it can."""

    @property
    def read(self) -> bool:
        """Whether anything was read yet."""
        return self.taken > 0
