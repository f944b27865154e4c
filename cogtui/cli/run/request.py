"""The arguments of `cogtui run`, and the commands that continue or open what it started."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cogtui.cli.run.display import DisplayName
from jobs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments of `cogtui run`."""

    recipe: Path
    workspace: Path | None = None
    cluster: Literal["local", "slurm"] = "local"
    dry_run: bool = False
    only: tuple[str, ...] = ()
    retry: bool = False
    force: tuple[str, ...] = ()
    detach: bool = False
    overrides: tuple[str, ...] = ()
    assertions: tuple[str, ...] = ()
    display: DisplayName | None = None
    tables: bool = False
    junit: Path | None = None
    github_summary: bool = False
    notify: bool = True
    notify_command: str | None = None
    webhook: str | None = None
    as_json: bool = False

    def again(self) -> str:
        """Return the command that watches the same run again."""
        place = ["--workspace", str(self.workspace)] if self.workspace else []
        settings = [part for override in self.overrides for part in ("--set", override)]
        only = [part for name in self.only for part in ("--only", name)]
        cluster = [] if self.cluster == "local" else ["--cluster", self.cluster]
        return shlex.join(["cogtui", "run", str(self.recipe), *place, *cluster, *only, *settings])


def opening_command(workspace: Workspace) -> str:
    """Return the shortest command that opens this workspace from the current directory."""
    if workspace == Workspace.locate():
        return "cogtui"
    return f"cogtui --workspace {_place(workspace)}"


def comparing_command(name: str, workspace: Workspace) -> str:
    """Return the shortest command that compares the conditions of an experiment."""
    place = "" if workspace == Workspace.locate() else f" --workspace {_place(workspace)}"
    return f"cogtui compare {shlex.quote(name)}{place}"


def _place(workspace: Workspace) -> str:
    """Return the folder of a workspace, relative to the current directory where it lies in it."""
    path = workspace.path
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
