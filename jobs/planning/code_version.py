"""Package version and git commit of the running code."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import pipelines
from pipelines.file_record import FileRecord

_GIT_TIMEOUT_S: Final = 5.0


class GitState(FileRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A commit, and whether tracked files differ from it."""

    commit: str
    dirty: bool


_HARMLESS: Final = (
    "--no-optional-locks",  # the index is not refreshed, so the hook after that does not run
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "diff.external="),
)
"""Options without which git runs programs that the configuration of a repository names."""
_FILTERS: Final = r"^filter\..*\.(clean|smudge|process)$"


def _git(folder: Path, *arguments: str, options: Sequence[str] = ()) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *_HARMLESS, *options, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**environment, "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _without_filters(folder: Path) -> list[str]:
    """Return options that turn off the filters in the repository's own configuration; the user's own stay on."""
    options = []
    for scope in ("--local", "--worktree"):
        for name in (_git(folder, "config", scope, "--name-only", "--get-regexp", _FILTERS) or "").splitlines():
            options += ["-c", f"{name}=", "-c", f"{name.rpartition('.')[0]}.required=false"]
    return options


@cache
def git_state(path: Path) -> GitState | None:
    """Return the commit of the repository that tracks a file; None if no repository does or git is missing.

    An untracked file below a repository (a virtual environment inside a user's project) has none, because that
    repository's commit says nothing about it.
    """
    place = path.absolute()
    if _git(place.parent, "ls-files", "--error-unmatch", "--", place.name) is None:
        return None
    commit = _git(place.parent, "rev-parse", "HEAD")
    changes = _git(
        place.parent,
        *("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"),
        options=_without_filters(place.parent),
    )
    if commit is None or changes is None:
        return None
    return GitState(commit=commit, dirty=bool(changes))


@cache
def code_version() -> str:
    """Return the package version, with the commit if it runs from a checkout: `0.1.0+1a2b3c4d5e6f.dirty`."""
    try:
        version = metadata.version("cogtui")
    except metadata.PackageNotFoundError:
        version = "0"
    git = git_state(Path(pipelines.__file__))
    if git is None:
        return version
    return f"{version}+{git.commit[:12]}{'.dirty' if git.dirty else ''}"
