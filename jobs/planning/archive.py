"""Archived experiments: hidden from lists, with everything they consist of left in place."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement, NotFound

ARCHIVED: Final = ".archived"
"""Name of the empty file in an experiment's folder that marks it."""


def is_archived(folder: Path) -> bool:
    """Return whether the experiment of a folder is archived."""
    return (folder / ARCHIVED).exists()


def check_experiments(workspace: Workspace, names: Iterable[str]) -> None:
    """Raise NotFound unless there is an experiment of each name."""
    for name in names:
        _folder(workspace, name)


def archive_experiment(workspace: Workspace, name: str) -> None:
    """Hide an experiment. Starting its recipe again brings it back.

    Raises:
        NotFound: there is no experiment of that name. MissingRequirement: the workspace cannot be written.
    """
    folder = _folder(workspace, name)
    try:
        (folder / ARCHIVED).touch()
    except OSError as error:
        raise _unwritable(folder, error) from error


def restore_experiment(workspace: Workspace, name: str) -> None:
    """Show an archived experiment again. Raises the errors of `archive_experiment`."""
    folder = _folder(workspace, name)
    try:
        (folder / ARCHIVED).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def archived_names(workspace: Workspace) -> list[str]:
    """Return the names of archived experiments."""
    return sorted(path.parent.name for path in workspace.experiments.glob(f"*/{ARCHIVED}"))


def _folder(workspace: Workspace, name: str) -> Path:
    folder = workspace.experiments / name
    if not name or "/" in name or name.startswith(".") or not folder.is_dir():
        raise NotFound(f"no experiment {name!r} in {workspace.path}", remedy="cogtui archive lists those archived.")
    return folder


def _unwritable(folder: Path, error: OSError) -> MissingRequirement:
    return MissingRequirement(f"{folder} cannot be written: {error.strerror}", remedy="Fix its permissions.")
