"""The words of a plan: cells of the matrix, stage instances with their content keys, the plan itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from jobs.recipe.labels import Label, label_text
from jobs.recipe.resources import Resources

ReuseStatus = Literal["reused", "started", "new"]
"""Finished; begun before and to be continued; not there yet."""


class Cell(BaseModel):
    """One cell of the matrix: its values, and which stage instance plays which part in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    labels: dict[str, Label]
    """Matrix values, the seed included; empty for a recipe without matrix and seeds."""
    stages: dict[str, str]
    """Name of the stage in the recipe → content key, in dependency order; skipped stages are absent."""

    @property
    def title(self) -> str:
        """`condition=none seed=1`; `all` where there is nothing to tell cells apart."""
        return label_text(self.labels) or "all"


@dataclass(frozen=True, slots=True)
class StageInstance:
    """A stage of a recipe with everything filled in. Two cells that want the same thing share one."""

    key: str
    """Content key, also the name of its folder in the workspace."""
    kind: str
    name: str
    """Its name in the recipe."""
    config: dict[str, Any]
    """The full validated config as JSON values, defaults filled in: what `stage.json` holds."""
    key_fields: dict[str, Any]
    """The part of the config that decides the key."""
    inputs: tuple[str, ...] = ()
    """Keys of the upstream instances, sorted; each comes earlier in the plan."""
    labels: dict[str, Label] = field(default_factory=dict)
    """The matrix values its key depends on, directly or through what is upstream."""
    cells: tuple[int, ...] = ()
    """Indices into `Plan.cells` of the cells that use it."""
    resources: Resources = field(default_factory=Resources)
    """Cluster parameters; never part of the key."""

    @property
    def title(self) -> str:
        """Name and labels: `ppo condition=none seed=1`."""
        return f"{self.name} {label_text(self.labels)}".rstrip()


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """A config field, or an input, in which a stage differs from a finished one."""

    field: str
    """Dotted, e.g. `sampling.temperature`; `input KIND` for what is upstream."""
    here: str
    there: str

    def __str__(self) -> str:
        return f"{self.field} is {self.here}, there {self.there}"


@dataclass(frozen=True, slots=True)
class Reuse:
    """Whether a stage is reused, and why or why not."""

    status: ReuseStatus
    nearest: str | None = None
    """Key of the finished stage of this kind that is most like it; None where there is none."""
    differences: tuple[ConfigDifference, ...] = ()

    def reason(self, kind: str) -> str:
        """One sentence part: `its result is there`, `no problems stage is finished`, `nearest X: steps is …`."""
        if self.status == "reused":
            return "its result is there"
        if self.nearest is None:
            return f"no {kind} stage is finished"
        return f"nearest is {self.nearest}: {'; '.join(map(str, self.differences))}"


@dataclass(frozen=True, slots=True)
class RecipePlan:
    """A recipe spread out: matrix × stages as a graph of instances."""

    name: str
    """The experiment's name."""
    recipe_path: Path
    recipe_text: str
    """The recipe as it was read."""
    overrides: tuple[str, ...]
    """The `--set` arguments applied to it."""
    stages: tuple[StageInstance, ...]
    """Every instance once, each after what it needs."""
    cells: tuple[Cell, ...]
    reuse: Mapping[str, Reuse] = field(default_factory=dict)
    """By key: whether the stage is finished already, and why or why not."""

    def instance(self, key: str) -> StageInstance:
        """Return the instance of a full key.

        Raises:
            KeyError: the plan has none.
        """
        for stage in self.stages:
            if stage.key == key:
                return stage
        raise KeyError(key)
