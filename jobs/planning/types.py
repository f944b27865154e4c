"""Types of a plan: stage instances with their content keys, the plan itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobs.planning.cell import Cell
from jobs.recipe.labels import Label, label_text
from jobs.recipe.resources import Resources

ReuseStatus = Literal["reused", "started", "new"]
"""Finished; started before and to be continued; without a folder or attempt."""


@dataclass(frozen=True, slots=True)
class StageInstance:
    """A stage of a recipe with all placeholders filled in. Cells with equal instances share one."""

    key: str
    """Content key, also the name of its folder in the workspace."""
    kind: str
    name: str
    """Its name in the recipe."""
    config: dict[str, Any]
    """The full validated config as JSON values, with defaults, as in `stage.json`."""
    key_fields: dict[str, Any]
    """The fields of the config that are part of the key."""
    inputs: tuple[str, ...] = ()
    """Keys of the upstream instances, sorted; the plan lists them earlier."""
    labels: dict[str, Label] = field(default_factory=dict)
    """The matrix values its key depends on, directly or through its inputs."""
    cells: tuple[int, ...] = ()
    """Indices into `Plan.cells` of the cells that use it."""
    resources: Resources = field(default_factory=Resources)
    """Cluster parameters; never part of the key."""
    settings: dict[str, Any] | None = None
    """Settings of the attempts to start, by dotted path (`pipelines.stages.settings`); None: those of `config`."""

    @property
    def title(self) -> str:
        """Name and labels: `ppo condition=none seed=1`."""
        return f"{self.name} {label_text(self.labels)}".rstrip()


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """A config field or input in which a stage differs from a finished one."""

    field: str
    """Dotted, e.g. `sampling.temperature`; `input KIND` for an input."""
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.field} is {self.here}, there {self.there}"


@dataclass(frozen=True, slots=True)
class Reuse:
    """Whether a stage is reused, and why or why not."""

    status: ReuseStatus
    nearest: str | None = None
    """Key of the most similar finished stage of this kind; None if there is none."""
    differences: tuple[ConfigDifference, ...] = ()

    def reason(self, kind: str) -> str:
        """Return the reason in a few words, e.g. `its result is there` or `nearest is X: steps is …`."""
        if self.status == "reused":
            return "its result is there"
        if self.nearest is None:
            return f"no {kind} stage is finished"
        return f"nearest is {self.nearest}: {'; '.join(map(str, self.differences))}"


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """An expanded recipe: matrix × stages as a graph of instances."""

    name: str
    """The experiment's name."""
    recipe_path: Path
    recipe_text: str
    """The recipe as it was read."""
    overrides: tuple[str, ...]
    """The `--set` arguments applied to it."""
    stages: tuple[StageInstance, ...]
    """Every instance once, each after its inputs."""
    cells: tuple[Cell, ...]
    reuse: Mapping[str, Reuse] = field(default_factory=dict)
    """By key: whether the stage is finished, and why or why not."""

    def instance(self, key: str) -> StageInstance:
        """Return the instance of a full key.

        Raises:
            KeyError: the plan has none.
        """
        for stage in self.stages:
            if stage.key == key:
                return stage
        raise KeyError(key)
