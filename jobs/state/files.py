"""Reads the small files of stages and attempts; a file is parsed again only after it changed."""

import json
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from jobs.attempts import records as attempts
from jobs.attempts.records import CancelRequest, ExitRecord, JobRecord, ResumeRecord, StartRecord
from pipelines.folder import RESUMED, Progress, StageInfo

STAGE: Final = "stage.json"
PROGRESS: Final = "progress.json"
_SETTLED_NS: Final = 2_000_000_000
"""A folder modified more recently may change again within the same timestamp: it is listed again."""

T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    signature: tuple[int, int, int]
    """Time, inode and size. Each write renames a new file into place, so the inode differs even within one tick."""
    value: Any


@dataclass(slots=True)
class AttemptFiles:
    """The files of an attempt folder, parsed."""

    number: int
    """Of the attempt; of a shard its index in the array."""
    base: str
    """The folder as a string: `Path` is too slow for a thousand paths a second."""
    job: JobRecord | None = None
    started: StartRecord | None = None
    exit: ExitRecord | None = None
    """The end of the current start; None while it runs."""
    cancel: CancelRequest | None = None
    error: dict[str, Any] | None = None
    heartbeat: dict[str, Any] | None = None
    resumed: ResumeRecord | None = None
    """The step that the current start continues from."""
    problems: list[str] = field(default_factory=list)
    """Files that exist but cannot be read."""
    written: dict[str, float] = field(default_factory=dict)
    """File name → modification time, seconds since the epoch by the file system's clock."""
    shards: list["AttemptFiles"] = field(default_factory=list)
    """The files of the tasks of its job array."""

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.base)


@dataclass(slots=True)
class StageFiles:
    """The files of a stage folder, parsed."""

    key: str
    info: StageInfo | None = None
    done: bool = False
    progress: Progress | None = None
    attempts: list[AttemptFiles] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    written: dict[str, float] = field(default_factory=dict)


class FileReader:
    """Reads stage folders and caches each file by time, inode and size."""

    def __init__(self) -> None:
        self._known: dict[str, _Entry] = {}
        self._listed: dict[str, tuple[int, frozenset[str]]] = {}

    def stage(self, path: str | Path) -> StageFiles | None:
        """Return the files of one stage; None without `stage.json`.

        Never raises: unreadable files are listed as problems.
        """
        base = str(path)
        files = StageFiles(base.rpartition("/")[2])
        names = self._names(base, files)
        if STAGE not in names:
            return files if files.problems else None
        if PROGRESS in names:
            files.progress = self._read(base, PROGRESS, Progress.model_validate_json, files)
            files.problems.clear()  # a damaged progress file does not matter
        files.info = self._read(base, STAGE, StageInfo.model_validate_json, files)
        files.done = attempts.RESULT in names and self._read(base, attempts.RESULT, _as_object, files) is not None
        if "attempts" in names:
            folder = f"{base}/attempts"
            numbers = sorted(int(name) for name in self._names(folder, files) if attempts.is_number(name))
            files.attempts = [self._attempt(f"{folder}/{number:03d}", number) for number in numbers]
        return files

    def _attempt(self, base: str, number: int) -> AttemptFiles:
        files = AttemptFiles(number, base)
        names = self._names(base, files)
        if attempts.JOB in names:
            files.job = self._read(base, attempts.JOB, JobRecord.model_validate_json, files)
        if attempts.STARTED in names:
            files.started = self._read(base, attempts.STARTED, StartRecord.model_validate_json, files)
        if attempts.EXIT in names:
            files.exit = self._read(base, attempts.EXIT, ExitRecord.model_validate_json, files)
        if attempts.CANCEL in names:
            files.cancel = self._read(base, attempts.CANCEL, CancelRequest.model_validate_json, files)
        if attempts.ERROR in names:
            files.error = self._read(base, attempts.ERROR, _as_object, files)
        problems = list(files.problems)
        if attempts.HEARTBEAT in names:
            files.heartbeat = self._read(base, attempts.HEARTBEAT, _as_object, files)
        if RESUMED in names:
            files.resumed = self._read(base, RESUMED, ResumeRecord.model_validate_json, files)
        files.problems = problems  # those two are not synced and only shown: damage does not matter
        if files.job is not None and files.job.shards and files.job.shard is None:
            found = sorted(name for name in names if name.startswith("shard-") and attempts.is_number(name[6:]))
            files.shards = [self._attempt(f"{base}/{name}", int(name.removeprefix("shard-"))) for name in found]
        if files.exit is not None and files.started is not None and files.exit.run < files.started.run.number:
            files.exit = None  # the end of an earlier start
        return files

    def _names(self, folder: str, files: "AttemptFiles | StageFiles") -> frozenset[str]:
        """Return the names in a folder, listed again only after it changed. A rename into it changes it too.

        A folder that is there and cannot be read is a problem: what it holds may be a running attempt.
        """
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
            known = self._listed.get(folder)
            if known is not None and known[0] == changed:
                return known[1]
            names = frozenset(os.listdir(folder))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError as error:
            files.problems.append(f"its folder {folder.rpartition('/')[2]} cannot be read: {error.strerror}")
            return frozenset()
        if time.time_ns() - changed > _SETTLED_NS:
            self._listed[folder] = (changed, names)
        return names

    def _read(self, base: str, name: str, parse: Callable[[bytes], T], files: "AttemptFiles | StageFiles") -> T | None:
        path = f"{base}/{name}"
        try:
            status = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            return None  # gone since its folder was listed
        except OSError as error:
            files.problems.append(f"{name}: {error.strerror}")
            return None
        if not stat.S_ISREG(status.st_mode):
            files.problems.append(f"{name} is not a file")  # opening a pipe would wait for its other end
            return None
        files.written[name] = status.st_mtime
        signature = (status.st_mtime_ns, status.st_ino, status.st_size)
        entry = self._known.get(path)
        if entry is None or entry.signature != signature:
            try:
                value = parse(_bytes(path))
            except FileNotFoundError:
                return None
            except RecursionError:
                files.problems.append(f"{name} cannot be read: it is nested too deeply")
                return None
            except (OSError, ValueError) as error:
                files.problems.append(f"{name} cannot be read: {(str(error).splitlines() or ['damaged'])[0]}")
                return None
            entry = self._known[path] = _Entry(signature, value)
        found: T = entry.value
        return found


def _bytes(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while block := os.read(descriptor, 1 << 16):
            data += block
        return data
    finally:
        os.close(descriptor)


def _as_object(text: bytes) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value
