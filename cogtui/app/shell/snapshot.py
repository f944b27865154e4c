"""The state of a workspace at one moment: experiments and the state of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the app paints before it reads: what reading needs is imported by the thread that reads
    from jobs.planning.experiments import Experiment
    from jobs.state.types import StageState


@dataclass(frozen=True, slots=True)
class WorkspaceSnapshot:
    """What was found at `taken`."""

    experiments: tuple[Experiment, ...] = ()
    """The newest start of each name, the newest first."""
    states: Mapping[str, StageState] = field(default_factory=lambda: MappingProxyType({}))
    """By stage key."""
    problems: tuple[str, ...] = ()
    """Files that could not be read, a line each."""
    taken: float = 0.0
    """Seconds since the epoch; 0 before anything was read."""

    @property
    def read(self) -> bool:
        """Whether anything was read yet."""
        return self.taken > 0
