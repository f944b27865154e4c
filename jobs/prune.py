"""Removes the checkpoints of finished stages: optimizer states and weights that only an unfinished stage needs.

Models, data, streams and results stay, so nothing that another stage takes is touched. A finished stage never reads its
checkpoints again, and one with more steps has another key and begins anew.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jobs.attempts.records import RESULT, attempt_numbers
from jobs.state.reader import stage_states
from jobs.state.types import StageState
from jobs.workspace import Workspace

CHECKPOINTS: Final = ("checkpoints", "verl/*/checkpoints", "replaced/*/checkpoints", "replaced/*/verl/*/checkpoints")
"""Folders of a stage that hold nothing but checkpoints; `replaced` holds those of runs before a `--force`."""
_ASIDE: Final = ".pruned-"
"""Beginning of the name of a folder that is being removed; what is left of one is removed the next time."""


@dataclass(frozen=True, slots=True)
class PrunableStage:
    """A finished stage with checkpoints."""

    key: str
    name: str
    labels: Mapping[str, Any]
    folders: tuple[Path, ...]
    """Folders to remove."""
    checkpoints: int
    """Number of checkpoints in them."""
    size: int
    """Bytes on the disk that removing them frees."""
    attempts: tuple[int, ...] = ()
    """Numbers of its attempts; with another one it is no longer finished."""


@dataclass(frozen=True, slots=True)
class UnprunedStage:
    """A stage whose checkpoints stay."""

    key: str
    name: str
    size: int
    """Bytes that they take."""
    reason: str


@dataclass(slots=True)
class PrunePlan:
    """What a prune would remove and what it would leave."""

    stages: list[PrunableStage] = field(default_factory=list)
    left: list[UnprunedStage] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes to be freed."""
        return sum(stage.size for stage in self.stages)


def plan_prune(workspace: Workspace, keys: Iterable[str] | None = None) -> PrunePlan:
    """Return what can be removed of some stages, by default of all; nothing is changed."""
    plan = PrunePlan()
    states = stage_states(workspace, None if keys is None else list(keys))
    for key, state in states.items():
        stage = workspace.stages / key
        numbers = tuple(attempt_numbers(stage))
        folders = tuple(_checkpoint_folders(stage))
        if not folders:
            continue
        size = disk_usage(folders)
        reason = _reason_to_stay(state, stage)
        if reason:
            plan.left.append(UnprunedStage(key, state.name, size, reason))
        else:
            count = sum(path.name.startswith("step-") for folder in folders for path in folder.iterdir())
            plan.stages.append(PrunableStage(key, state.name, state.labels, folders, count, size, numbers))
    return plan


def _reason_to_stay(state: StageState, stage: Path) -> str:
    """Return why the checkpoints of a stage must stay; empty if they need not."""
    if state.active:
        return f"{state.state}: it works with them"
    if state.state != "done" or not (stage / RESULT).exists():
        return f"{state.state}: it continues from them"
    return ""


def _checkpoint_folders(stage: Path) -> Iterator[Path]:
    """Yield the folders of checkpoints of a stage that have something in them; links are not followed."""
    for pattern in (*CHECKPOINTS, f"{_ASIDE}*"):
        for path in sorted(stage.glob(pattern)):
            inside = path.relative_to(stage)
            links = any((stage / part).is_symlink() for part in (inside, *inside.parents))
            if not links and path.is_dir() and any(path.iterdir()):
                yield path


def disk_usage(folders: Sequence[Path]) -> int:
    """Return the bytes on the disk that removing these folders frees.

    A file with several names counts only if all of them are in the folders.
    """
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    for folder in folders:
        for parent, names, files in os.walk(folder):
            for name in (*names, *files):
                with suppress(OSError):
                    info = os.lstat(Path(parent) / name)
                    place = (info.st_dev, info.st_ino)
                    seen = found.get(place, (0, 0, 0))[0]
                    links = 1 if name in names else info.st_nlink
                    found[place] = (seen + 1, links, info.st_blocks * 512)
    return sum(size for seen, links, size in found.values() if seen >= links)


def prune(workspace: Workspace, stage: PrunableStage) -> bool:
    """Remove the checkpoints of one stage, also beside another command that removes or starts it.

    Returns:
        Whether all of them were removed here; not if the stage was started again since it was planned, or something
        else removed or moved them first.

    Raises:
        OSError: something cannot be removed; what is left is removed the next time.
    """
    place = workspace.stages / stage.key
    removed = True
    for folder in stage.folders:
        if not _is_as_planned(place, stage):
            return False
        aside = folder
        if not folder.name.startswith(_ASIDE):
            # a start with --force meanwhile would make a folder of the same name
            aside = place / f"{_ASIDE}{uuid.uuid4().hex}"
            try:
                folder.rename(aside)
            except FileNotFoundError:
                removed = False
                continue
            if not _is_as_planned(place, stage):
                _put_back(aside, folder)
                return False
        elif not folder.exists():
            removed = False
        shutil.rmtree(aside, onerror=_raise_unless_gone)
    return removed


def _is_as_planned(place: Path, stage: PrunableStage) -> bool:
    """Whether a stage is still finished, by the attempts that it had."""
    return (place / RESULT).exists() and tuple(attempt_numbers(place)) == stage.attempts


def _put_back(aside: Path, folder: Path) -> None:
    """Return checkpoints of a run that began between the last look and the rename."""
    folder.mkdir(exist_ok=True)
    for checkpoint in aside.iterdir():
        if not (folder / checkpoint.name).exists():
            checkpoint.rename(folder / checkpoint.name)


def _raise_unless_gone(_function: object, _path: str, problem: tuple[object, BaseException, object]) -> None:
    """Let `rmtree` go on where another prune removed the same file first."""
    if not isinstance(problem[1], FileNotFoundError):
        raise problem[1]
