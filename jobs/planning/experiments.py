"""Snapshots of started recipes: `experiments/NAME/TIMESTAMP.json` (docs/workspace.md, a contract)."""

import os
import platform
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import pipelines
from jobs.planning.archive import ARCHIVED, is_archived
from jobs.planning.cell import Cell
from jobs.planning.code_version import GitState, git_state
from jobs.planning.files import explain_write_errors, write_once
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.file_record import FileRecord
from pipelines.files import read_json

if TYPE_CHECKING:
    from jobs.planning.types import RecipePlan

PACKAGES: Final = (
    "cogtui", "torch", "transformers", "tokenizers", "trl", "datasets", "accelerate", "vllm",
    "numpy", "pydantic", "submitit", "openai", "anthropic",
)  # fmt: skip
"""Packages whose version can affect a result."""


class Experiment(FileRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One start of a recipe: its text, cells and keys, and the versions of code and packages."""

    name: str
    time: float
    """Start time, seconds since the epoch."""
    recipe_path: str
    recipe: str
    """Text of the recipe as read."""
    overrides: tuple[str, ...] = ()
    """The `--set` arguments."""
    cells: tuple[Cell, ...]
    code_git: GitState | None = None
    """Commit of this project's code; None if it runs from an installed package."""
    recipe_git: GitState | None = None
    """Commit of the repository that tracks the recipe; None if none does."""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    """Versions installed for the launching Python. A stage with its own interpreter may use others."""
    python: str = ""
    host: str = ""


def record_experiment(plan: "RecipePlan", workspace: Workspace) -> Experiment:
    """Write the snapshot of a plan about to be started; every start has its own file.

    Raises:
        MissingRequirement: the workspace cannot be written. StageFailed: the disk is full.
    """
    workspace.create()
    experiment = Experiment(
        name=plan.name,
        time=time.time(),
        recipe_path=str(plan.recipe_path),
        recipe=plan.recipe_text,
        overrides=plan.overrides,
        cells=plan.cells,
        code_git=git_state(Path(pipelines.__file__)),
        recipe_git=git_state(plan.recipe_path),
        packages=_package_versions(),
        python=platform.python_version(),
        host=platform.node(),
    )
    folder = workspace.experiments / plan.name
    with explain_write_errors(folder):
        _write_new(folder, experiment)
        (folder / ARCHIVED).unlink(missing_ok=True)  # whoever starts it wants to see it
    return experiment


def _write_new(folder: Path, experiment: Experiment) -> None:
    folder.mkdir(exist_ok=True)
    moment = datetime.fromtimestamp(experiment.time, UTC)
    while not write_once(folder / f"{moment:%Y%m%dT%H%M%S.%fZ}.json", experiment.model_dump(mode="json")):
        moment += timedelta(microseconds=1)


def load_experiments(workspace: Workspace, *, damaged: list[str] | None = None) -> list[Experiment]:
    """Return the snapshots of a workspace, oldest first; those of archived experiments are left out.

    Args:
        workspace: one that does not exist has none.
        damaged: receives a line for each unreadable file; such files are left out.
    """
    found = []
    if (
        damaged is not None
        and workspace.experiments.is_dir()
        and not os.access(workspace.experiments, os.R_OK | os.X_OK)
    ):
        damaged.append(f"{workspace.experiments} cannot be read: permission denied")  # `glob` would find nothing
    for path in sorted(workspace.experiments.glob("*/*.json")):
        if path.name.startswith(".") or is_archived(path.parent):
            continue
        try:
            found.append(Experiment.model_validate(read_json(path)))
        except (InvalidInput, ValueError, OSError) as error:
            if damaged is not None:
                damaged.append(f"{path} is not an experiment snapshot: {str(error).splitlines()[0]}")
    return sorted(found, key=lambda experiment: experiment.time)


def latest_experiments(workspace: Workspace, *, damaged: list[str] | None = None) -> dict[str, Experiment]:
    """Return the newest snapshot of each name, the newest name last; `damaged` as in `load_experiments`."""
    newest: dict[str, Experiment] = {}
    for experiment in load_experiments(workspace, damaged=damaged):
        newest.pop(experiment.name, None)
        newest[experiment.name] = experiment
    return newest


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
