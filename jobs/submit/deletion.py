"""Deletes experiments: into the trash folder of the workspace, from which they can be restored until it is emptied.

A stage belongs to an experiment alone if no other experiment's snapshot names it and no stage that stays needs it as an
input. Only such stages go; all moves are renames within the workspace.
"""

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jobs.state.reader import StateReader
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement, NotFound
from pipelines.file_record import FileRecord
from pipelines.files import read_json, write_json

TRASH: Final = "trash"
_MANIFEST: Final = "manifest.json"
_MOST_FILES: Final = 50_000
"""Files whose sizes are added up; a size of more is a lower bound."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What deleting an experiment would move, and what it would leave."""

    name: str
    starts: int
    """Snapshots of it."""
    keys: tuple[str, ...]
    """Stages that belong to it alone."""
    finished: int
    """How many of them are done."""
    kept: Mapping[str, str]
    """Why each of its other stages stays, by key."""
    active: tuple[str, ...]
    """Stages of `keys` that run, wait or may run; nothing is deleted while there is one."""
    megabytes: float
    is_size_complete: bool


class TrashedExperiment(FileRecord, frozen=True, kw_only=True):
    """`manifest.json`: an experiment in the trash."""

    v: int = 1
    name: str
    time: float
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """A folder of the trash."""

    folder: Path
    experiment: TrashedExperiment


def plan_deletion(workspace: Workspace, name: str) -> Deletion:
    """Return what deleting an experiment would do.

    Raises:
        NotFound: there is no experiment of that name.
        InvalidInput: a snapshot of another one cannot be read, so what it shares is not known.
    """
    folder = _experiment_folder(workspace, name)
    own: set[str] = set()
    starts = sorted(folder.glob("[!.]*.json"))
    for path in starts:
        own |= _keys_of(path) or set()
    kept: dict[str, str] = {}
    for path in sorted(workspace.experiments.glob("*/[!.]*.json")):
        if path.parent == folder:
            continue
        named = _keys_of(path)
        if named is None:
            raise InvalidInput(
                f"{path} cannot be read, so it is not known which stages {path.parent.name} shares with {name}",
                remedy="Restore that file, or delete it if its experiment is not needed.",
            )
        kept |= {key: f"experiment {path.parent.name}" for key in own & named if key not in kept}
    existing = sorted(workspace.keys())
    inputs = {key: _inputs_of(workspace, key) for key in existing}
    staying = [key for key in existing if key not in own or key in kept]
    while staying:
        key = staying.pop()
        for needed in inputs.get(key, ()):
            if needed in own and needed not in kept:
                kept[needed] = f"input of {key}"
                staying.append(needed)
    keys = tuple(key for key in existing if key in own and key not in kept)
    states = StateReader(workspace).read(keys, ask_slurm=True) if keys else {}
    megabytes, complete = _size(workspace.stages / key for key in keys)
    return Deletion(
        name,
        len(starts),
        keys,
        sum(state.state == "done" for state in states.values()),
        {key: why for key, why in kept.items() if key in inputs},
        tuple(key for key, state in states.items() if state.active or state.state in ("running", "queued")),
        megabytes,
        complete,
    )


def delete_experiment(workspace: Workspace, plan: Deletion) -> Path:
    """Move an experiment and the stages of it alone to the trash; return the folder there.

    Raises:
        InvalidInput: a stage is active, or something changed since it was planned; nothing was moved.
        MissingRequirement: the workspace cannot be written; what was moved is back.
    """
    now = plan_deletion(workspace, plan.name)
    if now.active:
        raise InvalidInput(
            f"{plan.name} is not deleted: {now.active[0]} runs or waits to run",
            remedy=f"Cancel it first: cogtui cancel {' '.join(now.active[:3])}",
        )
    if set(now.keys) - set(plan.keys):
        raise InvalidInput(
            f"{plan.name} is not deleted: it has stages that it did not have when it was asked",
            remedy="Look at what would be lost again, then delete it.",
        )
    moment = time.time()
    folder = workspace.path / TRASH / f"{plan.name}.{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%S.%fZ}"
    moves = [(workspace.experiments / plan.name, folder / "experiment")]
    moves += [(workspace.stages / key, folder / "stages" / key) for key in now.keys]
    made: list[tuple[Path, Path]] = []
    try:
        (folder / "stages").mkdir(parents=True)
        record = TrashedExperiment(name=plan.name, time=moment, keys=now.keys)
        write_json(folder / _MANIFEST, record.model_dump(mode="json"))
        for source, target in moves:
            os.rename(source, target)  # noqa: PTH104 - never over what is there
            made.append((source, target))
    except (OSError, CogtuiError) as error:
        for source, target in reversed(made):
            os.rename(target, source)  # noqa: PTH104
        shutil.rmtree(folder, ignore_errors=True)
        raise MissingRequirement(
            f"{plan.name} is not deleted: {_reason(error)}",
            remedy=f"Fix the permissions of {workspace.path} and its folders stages and experiments.",
        ) from error
    return folder


def trashed_experiments(workspace: Workspace) -> list[TrashEntry]:
    """Return what is in the trash, oldest first; folders without a readable manifest are left out."""
    found = []
    for path in (workspace.path / TRASH).glob(f"*/{_MANIFEST}"):
        try:
            found.append(TrashEntry(path.parent, TrashedExperiment.model_validate(read_json(path))))
        except (CogtuiError, OSError, ValueError):
            continue
    return sorted(found, key=lambda entry: entry.experiment.time)


def restore_deleted(workspace: Workspace, name: str | None = None) -> TrashedExperiment:
    """Move the experiment of that name that was deleted last, or the last of all, back to where it was.

    A stage that was made again meanwhile stays as it is; the deleted one then stays in the trash.

    Raises:
        NotFound: the trash has none. InvalidInput: there is an experiment of that name again.
        MissingRequirement: the workspace cannot be written.
    """
    entries = [entry for entry in trashed_experiments(workspace) if name is None or entry.experiment.name == name]
    if not entries:
        what = "is empty" if name is None else f"has no experiment {name!r}"
        raise NotFound(f"the trash of {workspace.path} {what}", remedy="cogtui delete lists what is in it.")
    folder, record = entries[-1].folder, entries[-1].experiment
    home = workspace.experiments / record.name
    if home.exists() and (folder / "experiment").exists():
        raise InvalidInput(
            f"there is an experiment {record.name} again, so the deleted one cannot be restored",
            remedy=f"Delete that one first, or take what you need from {folder}.",
        )
    try:
        for source in sorted((folder / "stages").iterdir()):
            target = workspace.stages / source.name
            if not target.exists():
                os.rename(source, target)  # noqa: PTH104
        if (folder / "experiment").exists():
            os.rename(folder / "experiment", home)  # noqa: PTH104
        if not any((folder / "stages").iterdir()):
            shutil.rmtree(folder)
    except OSError as error:
        raise MissingRequirement(
            f"{record.name} is not restored completely: {_reason(error)}",
            remedy="Fix the permissions and run it again: it goes on where it stopped.",
        ) from error
    return record


def empty_trash(workspace: Workspace, names: Iterable[str] = ()) -> list[TrashedExperiment]:
    """Delete what is in the trash for good, or the experiments of these names; return what was deleted.

    Raises:
        MissingRequirement: something cannot be removed.
    """
    wanted = set(names)
    gone = []
    for entry in trashed_experiments(workspace):
        if wanted and entry.experiment.name not in wanted:
            continue
        try:
            shutil.rmtree(entry.folder)
        except OSError as error:
            raise MissingRequirement(f"{entry.folder} cannot be removed: {_reason(error)}") from error
        gone.append(entry.experiment)
    return gone


def _experiment_folder(workspace: Workspace, name: str) -> Path:
    folder = workspace.experiments / name
    if not name or "/" in name or name.startswith(".") or not folder.is_dir():
        raise NotFound(f"no experiment {name!r} in {workspace.path}", remedy="cogtui ls names the experiments.")
    return folder


def _keys_of(snapshot: Path) -> set[str] | None:
    """Return the stages that a snapshot names; None if it cannot be read."""
    try:
        cells = read_json(snapshot)["cells"]
        return {str(key) for cell in cells for key in cell["stages"].values()}
    except (CogtuiError, OSError, AttributeError, KeyError, TypeError):
        return None


def _inputs_of(workspace: Workspace, key: str) -> tuple[str, ...]:
    try:
        return workspace.folder(key).info().inputs
    except (CogtuiError, OSError, ValueError):
        return ()


def _size(folders: Iterable[Path]) -> tuple[float, bool]:
    """Return the size of folders in MB, and whether all files were counted."""
    total = files = 0
    for folder in folders:
        for parent, _, names in os.walk(folder):
            for name in names:
                files += 1
                if files > _MOST_FILES:
                    return total / 2**20, False
                try:
                    total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - of many files
                except OSError:
                    continue
    return total / 2**20, True


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return error.summary if isinstance(error, CogtuiError) else str(error)


def describe_deletion(plan: Deletion) -> list[str]:
    """Return what a deletion moves and what it leaves, one thing a line, for the question before it."""
    from jobs.formatting import format_megabytes
    from pipelines.wording import count_of

    size = f"{'' if plan.is_size_complete else 'more than '}{format_megabytes(plan.megabytes)}"
    lines = [
        f"To the trash: {count_of(plan.starts, 'start')} and {count_of(len(plan.keys), 'stage')} of it alone, {size}"
    ]
    if plan.keys:
        lines[0] += f"; {plan.finished:,} finished, with models, rollouts, judgements and logs"
    kinds: dict[str, int] = {}
    for key in plan.keys:
        kind = key.rpartition("-")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    if kinds:
        lines.append("  " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(kinds.items())))
    if plan.kept:
        lines.append(f"Kept, because others need them: {count_of(len(plan.kept), 'stage')}")
        lines += [f"  {key}  {why}" for key, why in list(plan.kept.items())[:5]]
        if len(plan.kept) > 5:
            lines.append(f"  and {len(plan.kept) - 5:,} more")
    lines.append("Notes and annotations of people stay in their files.")
    return lines
