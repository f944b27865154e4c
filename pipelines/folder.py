"""The stage folder: everything a stage reads, writes and resumes from (docs/workspace.md, a contract)."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO
from weakref import WeakSet

import msgspec

from pipelines.errors import InvalidInput, NotFound, StageFailed
from pipelines.file_record import FileRecord
from pipelines.files import read_json, sync_folder, sync_tree, write_json

if TYPE_CHECKING:
    from pipelines.streams import StreamWriter

_CHECKPOINT = re.compile(r"step-(\d{6,})")
ATTEMPT_VARIABLE: Final = "COGTUI_ATTEMPT"
"""Names the attempt folder in the environment of a stage that runs as a job."""
RESUMED: Final = "resumed.json"
"""File of the attempt with the step that the stage really continues from."""
LAST_SAVE: Final = "last-save.json"
"""File with the step of the last checkpoint and how long it took."""
_PROGRESS_EVERY_S: Final = 0.5
_LINE_EVERY_S: Final = 2.0


class StageInfo(FileRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`stage.json`: what the folder is for. Written once, before the first attempt."""

    kind: str
    key: str
    """`kind-1a2b3c4d5e6f`."""
    config: dict[str, Any]
    """The full config, defaults filled in."""
    inputs: tuple[str, ...] = ()
    """Keys of the upstream stages; their folders stand beside this one, unless `input_folders` says otherwise."""
    input_folders: dict[str, str] = msgspec.field(default_factory=dict)
    """Key → folder, for a stage run alone with inputs from elsewhere."""
    labels: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    """The matrix values this stage depends on, e.g. condition and seed. Not part of the key."""
    name: str = ""
    """Its name in the recipe that first planned it. Not part of the key."""
    code_version: str = ""
    created: float = 0.0
    """Seconds since the epoch."""


class Progress(FileRecord, frozen=True, kw_only=True):
    """`progress.json`: how far the stage is, for display."""

    done: float
    total: float
    unit: str
    message: str = ""
    values: dict[str, float] = msgspec.field(default_factory=dict)
    """A few numbers worth showing now: loss, reward, accuracy."""
    time: float
    """When this was written, seconds since the epoch."""


@dataclass(slots=True)
class _ProgressClock:
    written: float = 0.0
    told: float = 0.0
    told_end: bool = False


class StageFolder:
    """The folder of one stage. Creating this object reads nothing."""

    def __init__(self, path: Path, *, log: TextIO | None = None) -> None:
        """Open a stage folder without reading it.

        Args:
            path: the folder.
            log: a text stream that also gets each progress report as a line, for `cogtui logs -f`.
        """
        self.path = path
        self._log = log
        self._clock = _ProgressClock()
        self._writers: WeakSet[StreamWriter] = WeakSet()

    def __repr__(self) -> str:
        return f"StageFolder({str(self.path)!r})"

    def info(self) -> StageInfo:
        """Return the stage's `stage.json`.

        Raises:
            NotFound: there is none. InvalidInput: it cannot be read.
        """
        raw = read_json(self.path / "stage.json")
        if raw is None:
            raise NotFound(f"{self.path} is not a stage folder: it has no stage.json")
        try:
            return StageInfo.model_validate(raw)
        except ValueError as error:
            raise InvalidInput(f"{self.path / 'stage.json'} is not valid", detail=str(error)) from error

    @property
    def key(self) -> str:
        """The content key."""
        return self.info().key

    @property
    def artifacts(self) -> Path:
        """Folder for models, data sets and tables; made when first asked for."""
        folder = self.path / "artifacts"
        folder.mkdir(exist_ok=True)
        return folder

    def artifact(self, name: str) -> Path:
        """Return an artifact that an upstream stage must have written.

        Raises:
            NotFound: it is not there.
        """
        path = self.path / "artifacts" / name
        if not path.exists():
            raise NotFound(f"{self.path.name} has no artifact {name}", remedy="Run that stage again with --force.")
        return path

    def result(self) -> dict[str, Any] | None:
        """Return the result of the stage, or None while it is not done."""
        raw = read_json(self.path / "result.json")
        return raw if isinstance(raw, dict) else None

    def write_result(self, result: dict[str, Any]) -> None:
        """Mark the stage as done, after its streams and artifacts are on the disk. The last thing a stage writes.

        Temporary files that killed attempts left among the artifacts are removed before.
        """
        from pipelines.manifest import sync_streams

        self._check_writers()
        remove_partial(self.path / "artifacts")
        sync_streams(self.path)
        sync_tree(self.path / "artifacts")
        write_json(self.path / "result.json", result)

    def progress(self) -> Progress | None:
        """Return the latest progress, or None."""
        raw = read_json(self.path / "progress.json")
        return None if raw is None else Progress.model_validate(raw)

    def report(
        self, done: float, total: float, unit: str, message: str = "", values: dict[str, float] | None = None
    ) -> None:
        """Write progress, at most twice a second except for the last of it. Never fails the stage."""
        now = time.time()
        if now - self._clock.written < _PROGRESS_EVERY_S and done < total:
            return
        self._clock.written = now
        progress = Progress(done=done, total=total, unit=unit, message=message, values=values or {}, time=now)
        with suppress(OSError, ValueError):  # for display only: other writes report a full disk
            write_json(self.path / "progress.json", progress.model_dump(), durable=False)
        self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        """Return a line of the log, every two seconds and at the end."""
        at_end = progress.done >= progress.total
        if self._log is None or (
            progress.time - self._clock.told < _LINE_EVERY_S and (not at_end or self._clock.told_end)
        ):
            return
        self._clock.told, self._clock.told_end = progress.time, at_end
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(progress.time))
        values = (f"{name}={value:.4g}" for name, value in progress.values.items())
        parts = (moment, f"{progress.done:g}/{progress.total:g} {progress.unit}", " ".join(progress.message.split()))
        with suppress(OSError, ValueError):
            self._log.write("  ".join(part for part in (*parts, *values) if part) + "\n")
            self._log.flush()

    def stream(self, family: str, name: str) -> "StreamWriter":
        """Return a writer for the stream `FAMILY-NAME`; see `pipelines.streams`."""
        from pipelines.streams import StreamWriter

        writer = StreamWriter(self.path, family, name)
        self._writers.add(writer)
        return writer

    def _check_writers(self) -> None:
        """Check that the open stream files are still in the folder, and as long as what was written.

        Raises:
            StageFailed: one was deleted, replaced or cut by another program.
        """
        for writer in self._writers:
            if (name := writer.lost_file()) is not None:
                raise StageFailed(
                    f"the stream file {self.path / name} was deleted or cut while the stage wrote to it",
                    detail="No checkpoint is written that the streams do not reach.",
                    remedy="Run the recipe again with --retry: the stage continues from a checkpoint that they reach.",
                )

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Return the complete checkpoints as (step, folder), oldest first."""
        parent = self.path / "checkpoints"
        if not parent.is_dir():
            return []
        found = [(int(match[1]), path) for path in parent.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))]
        return sorted(found)

    def latest_checkpoint(self) -> tuple[int, Path] | None:
        """Return the newest complete checkpoint as (step, folder), or None."""
        found = self.checkpoints()
        return found[-1] if found else None

    def last_save_s(self) -> float | None:
        """Return how long the last checkpoint took, in seconds; None if there is none or that is not known."""
        with suppress(OSError, ValueError):
            found = read_json(self.path / LAST_SAVE)
            seconds = found.get("seconds") if isinstance(found, dict) else None
            return float(seconds) if isinstance(seconds, int | float) else None
        return None

    def usable_checkpoint(
        self, verify: Callable[[Path, int], object] | None = None, *, manifest: bool = True
    ) -> tuple[int, Path] | None:
        """Return the newest checkpoint to continue from as (step, folder), or None to start from the beginning.

        Damaged checkpoints, and those that the streams no longer reach, are named on stderr and skipped. The steps
        since the one returned are repeated. The step is recorded in the attempt, for display.

        Args:
            verify: further check, called with path and step; raises DamagedCheckpoint.
            manifest: whether a checkpoint without a manifest counts as damaged.
        """
        from pipelines.manifest import DamagedCheckpoint, verify_files, verify_streams

        for step, path in reversed(self.checkpoints()):
            try:
                lengths = verify_files(path, required=manifest)
                if verify is not None:
                    verify(path, step)
                verify_streams(self.path, lengths)
            except DamagedCheckpoint as error:
                warn_of_damage(path, error)
                continue
            self.record_resume(step)
            return step, path
        self.record_resume(0)
        return None

    def record_resume(self, step: int) -> None:
        """Record in the attempt the step that this start continues from; 0 without a usable checkpoint."""
        attempt = os.environ.get(ATTEMPT_VARIABLE)
        if not attempt or os.environ.get("RANK", "0") != "0":
            return
        with suppress(OSError):  # for display only
            found = {"step": step, "checkpoints": len(self.checkpoints())}
            write_json(Path(attempt) / RESUMED, found, durable=False)
            if step:
                sys.stderr.write(f"cogtui: continues from step {step}\n")

    @contextmanager
    def new_checkpoint(self, step: int, *, keep: int | None = None) -> Iterator[Path]:
        """A folder to fill; it becomes `checkpoints/step-NNNNNN` when the block ends without an error.

        Before it appears, the streams and its files are synced to the disk and its manifest is written, so that after a
        loss of power a checkpoint is whole and the streams reach it. Unfinished checkpoints of killed attempts are
        removed first: each takes as much room as a whole one.

        Args:
            step: training step after which it was taken.
            keep: how many of the newest to leave in place; None keeps all.
        """
        from pipelines.manifest import seal_checkpoint

        began = time.monotonic()
        parent = self.path / "checkpoints"
        parent.mkdir(exist_ok=True)
        final = parent / f"step-{step:06d}"
        aside = parent / f".step-{step:06d}.{os.getpid()}.tmp"
        remove_partial(parent)
        aside.mkdir()
        try:
            yield aside
            self._check_writers()
            seal_checkpoint(aside, self.path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        if final.exists():
            shutil.rmtree(final)
        aside.rename(final)
        sync_folder(parent)
        with suppress(OSError):  # only an estimate is made of it
            write_json(self.path / LAST_SAVE, {"step": step, "seconds": time.monotonic() - began}, durable=False)
        if keep is not None:
            for _, old in self.checkpoints()[:-keep]:
                shutil.rmtree(old, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Remove the temporary files and folders in `folder`, `.NAME.tmp`, that killed attempts left behind.

    Call it only where one process writes, while it writes nothing. What cannot be removed is left.
    """
    for path in folder.glob(".*.tmp"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def warn_of_damage(path: Path, error: Exception) -> None:
    """Name a skipped checkpoint on stderr."""
    sys.stderr.write(f"warning: checkpoint {path.name} is damaged and passed over: {error}\n")
