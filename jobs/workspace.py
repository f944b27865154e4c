"""The workspace folder with its stages and experiments (docs/workspace.md, a contract)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.files import expand_user
from pipelines.folder import StageFolder

WORKSPACE_VARIABLE: Final = "COGTUI_WORKSPACE"
DEFAULT_WORKSPACE: Final = "cogtui-workspace"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace folder. One that does not exist reads as empty; only `create` creates it."""

    path: Path

    @classmethod
    def locate(cls, given: Path | None = None) -> "Workspace":
        """Return the workspace of a command: the given one, else COGTUI_WORKSPACE, else ./cogtui-workspace.

        Raises:
            InvalidInput: the path is a file, or begins with an unknown `~USER`.
            MissingRequirement: the folder cannot be read.
        """
        chosen = given or Path(os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE)
        path = expand_user(chosen).absolute()
        if path.is_file():
            raise InvalidInput(
                f"{path} is a file, and a workspace is a folder",
                remedy="Give --workspace a folder; cogtui open FILE reads a file of rollouts.",
            )
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            raise MissingRequirement(
                f"the workspace {path} cannot be read: permission denied",
                remedy="Ask its owner to share it (chmod g+rx), or name another with --workspace.",
            )
        return cls(path)

    @property
    def stages(self) -> Path:
        """Folder of the stage folders."""
        return self.path / "stages"

    @property
    def experiments(self) -> Path:
        """Folder of the experiment snapshots, one folder a recipe name."""
        return self.path / "experiments"

    def create(self) -> None:
        """Create the folders. A new workspace is closed to other users, since rollouts, logs and replies are in it.

        Raises:
            MissingRequirement: the folder cannot be written.
        """
        if any(character in str(self.path) for character in "\n\r"):
            raise InvalidInput(
                f"the workspace {str(self.path)!r} has a line break in its path",
                detail="Scripts for Slurm, and logs, take one path a line.",
                remedy=f"Choose another with --workspace or {WORKSPACE_VARIABLE}.",
            )
        try:
            if not self.path.exists():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.stages.mkdir(parents=True, exist_ok=True)
            self.experiments.mkdir(exist_ok=True)
        except OSError as error:
            raise MissingRequirement(
                f"the workspace {self.path} cannot be written: {error.strerror}",
                remedy=f"Choose another with --workspace or {WORKSPACE_VARIABLE}.",
            ) from error
        if not os.access(self.stages, os.W_OK | os.X_OK):
            raise MissingRequirement(
                f"the workspace {self.path} cannot be written: permission denied",
                remedy=f"Choose another with --workspace or {WORKSPACE_VARIABLE}.",
            )

    def require(self) -> None:
        """Raise NotFound if the workspace does not exist: a command that only reads it has nothing to read."""
        if not self.path.is_dir():
            raise NotFound(
                f"there is no workspace {self.path}",
                remedy=f"Check --workspace, {WORKSPACE_VARIABLE} and the current folder; cogtui run RECIPE makes one.",
            )

    def require_still_there(self) -> None:
        """Raise NotFound if the workspace, which was there before, is not any more: it must not look empty."""
        if not self.path.is_dir():
            raise NotFound(
                f"there is no workspace {self.path} any more: it was moved or deleted, or its disk is not mounted",
                detail="What is shown is what was read last.",
                remedy="Put it back, or open it at its new place.",
            )

    def keys(self) -> Iterator[str]:
        """Yield the keys of all stage folders, sorted."""
        if self.stages.is_dir():
            yield from sorted(path.name for path in self.stages.iterdir() if (path / "stage.json").is_file())

    def folder(self, key: str) -> StageFolder:
        """Return the folder of a full key, whether or not it exists yet."""
        return StageFolder(self.stages / key)

    def find(self, prefix: str) -> StageFolder:
        """Return the stage folder of a shortened key: any unique prefix of the key or of its hexadecimal part.

        Raises:
            NotFound: no stage has this prefix. InvalidInput: several do; names them.
        """
        found = [key for key in self.keys() if key == prefix]
        found = found or [
            key for key in self.keys() if key.startswith(prefix) or key.rpartition("-")[2].startswith(prefix)
        ]
        if not found:
            raise NotFound(f"no stage {prefix!r} in {self.path}", remedy="List them with cogtui ls.")
        if len(found) > 1:
            raise InvalidInput(f"{prefix!r} is a prefix of {len(found)} stages", detail=", ".join(found[:8]))
        return self.folder(found[0])
