"""Attempt folders, `stages/KEY/attempts/NNN`: their records, and the claim of a new attempt (docs/jobs.md).

A new attempt folder appears with its `job.json` by one rename, which succeeds for only one of several processes. This
claim keeps two `cogtui run` from starting a stage twice.
"""

import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from jobs.attempts.processes import ProcessId
from pipelines.errors import MissingRequirement
from pipelines.file_record import FileRecord
from pipelines.files import RESERVE_BYTES, read_json, reserve_file, sync_all, write_json, write_reserved

RECORD_VERSION: Final = 1
Cluster = Literal["local", "slurm"]
EndCause = Literal["done", "failed", "cancelled", "timeout", "preempted", "interrupted", "blocked", "lost", ""]

JOB, STARTED, HEARTBEAT, EXIT, CANCEL, ERROR = (
    "job.json",
    "started.json",
    "heartbeat.json",
    "exit.json",
    "cancel.json",
    "error.json",
)
RESULT: Final = "result.json"
PRIVATE_WRITE: Final = 0o755
"""Mode of the folders of an attempt: pickles in them are run, so nobody else may write there."""
STDOUT, STDERR, WORKER_LOG = "stdout.log", "stderr.log", "worker.log"
ARRAY: Final = "shards"
"""Folder in an attempt for submitit's files of its job array."""
_LONGEST_REASON: Final = 300
"""Characters of a reason that fit into a reserve in any script, with the rest of the record."""


class _AttemptRecord(FileRecord, frozen=True, kw_only=True):
    # unknown fields are ignored, so that an older version can decide the state from records of a newer one

    v: int = RECORD_VERSION


R = TypeVar("R", bound=_AttemptRecord)


class JobRecord(_AttemptRecord, frozen=True, kw_only=True):
    """`job.json`: the job as submitted. Written before submission and again with the id from the scheduler."""

    key: str
    number: int
    cluster: Cluster
    name: str
    """Unique name of the job, by which it is found in the scheduler if no id was returned."""
    job_id: str | None = None
    submitted: float
    submitter: ProcessId
    inputs: tuple[str, ...] = ()
    resources: dict[str, Any] = msgspec.field(default_factory=dict)
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    """Config fields that change no result, as this attempt has them, by dotted path; others are as in `stage.json`."""
    launches_itself: bool = False
    """Whether the stage starts the processes of a node itself, so that it is not put under torchrun."""
    time_limit_s: float | None = None
    warn_s: float = 90.0
    """Seconds before the limit at which the stage is asked to stop."""
    shards: int = 0
    """Tasks of the array that runs before this job gathers its results; 0 without an array."""
    shards_job_id: str | None = None
    shard: int | None = None
    """Index of the shard this folder is for; None for the job itself."""
    array_task: int | None = None
    """Index in the array, which leaves out shards that an earlier attempt finished; None for those."""


class WorkerRun(_AttemptRecord, frozen=True, kw_only=True):
    """One start of the attempt, as kept in `started.json`."""

    number: int
    host: str
    started: float
    ended: float | None = None
    code: int | None = None
    signal: int | None = None
    why: EndCause = ""
    resumed_step: int | None = None
    """The step it continued from, as the stage recorded it; None until then, and without a checkpoint."""
    progress: float | None = None
    """How far `progress.json` was when it began."""
    newest_checkpoint: int | None = None
    """The newest checkpoint when it began, which may turn out to be damaged."""


class ResumeRecord(_AttemptRecord, frozen=True, kw_only=True):
    """`resumed.json`: the step that the stage really continues from. Absent until it has read its checkpoints."""

    step: int
    """0 if it starts from the beginning."""
    checkpoints: int = 0
    """Number of checkpoints, usable or not."""


class StartRecord(_AttemptRecord, frozen=True, kw_only=True):
    """`started.json`: the worker of the current start, and the earlier starts of the attempt."""

    worker: ProcessId
    child: ProcessId | None = None
    """The process of the stage; None until it is started."""
    run: WorkerRun
    earlier: tuple[WorkerRun, ...] = ()
    job_id: str | None = None
    scheduler_restarts: int = 0
    gpus: str | None = None
    command: tuple[str, ...] = ()


class ExitRecord(_AttemptRecord, frozen=True, kw_only=True):
    """`exit.json`: how the latest start ended. Absent while it runs; removed when the attempt is started again."""

    run: int
    host: str
    time: float
    code: int | None = None
    signal: int | None = None
    why: EndCause
    reason: str = ""
    out_of_memory: bool = False
    """Whether the kernel counted an out-of-memory kill in the job's control group while it ran."""
    requeued: bool = False
    """Whether the scheduler was asked to start the same job again."""


class CancelRequest(_AttemptRecord, frozen=True, kw_only=True):
    """`cancel.json`: a cancel request."""

    time: float
    host: str
    user: str
    grace_s: float = 10.0
    because: str = ""
    """Key of the input whose cancellation cancelled this stage too; empty if the stage was named itself."""


def attempts_folder(stage: Path) -> Path:
    """Return the folder of a stage's attempts."""
    return stage / "attempts"


def attempt_numbers(stage: Path) -> list[int]:
    """Return the numbers of a stage's attempts, ascending."""
    try:
        names = os.listdir(attempts_folder(stage))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(name) for name in names if is_number(name))


def is_number(name: str) -> bool:
    """Whether a name consists of the digits 0 to 9; `str.isdigit` also accepts ², which is no number."""
    return name.isascii() and name.isdigit()


def attempt_path(stage: Path, number: int) -> Path:
    """Return the folder of an attempt."""
    return attempts_folder(stage) / f"{number:03d}"


def workspace_mark(workspace: Path) -> str:
    """Return a short hash of the workspace path, which makes job names unique across workspaces."""
    import hashlib

    return hashlib.sha256(os.fsencode(os.path.realpath(workspace))).hexdigest()[:6]


def job_name(workspace: Path, key: str, number: int) -> str:
    """Return the unique name of an attempt's job in the scheduler."""
    return f"{key}.{number:03d}.{workspace_mark(workspace)}"


def shard_path(attempt: Path, index: int) -> Path:
    """Return the folder of one task of an attempt's array, which has records like an attempt."""
    return attempt / f"shard-{index:03d}"


def shard_folders(attempt: Path) -> list[Path]:
    """Return the folders of the tasks of an attempt's array, in order; none without an array."""
    try:
        names = os.listdir(attempt)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [attempt / name for name in sorted(names) if name.startswith("shard-") and is_number(name[6:])]


def attempt_of(path: Path) -> Path:
    """Return the attempt folder that contains a file, at any depth.

    Raises:
        StopIteration: no attempt folder contains it.
    """
    return next(parent for parent in path.parents if parent.parent.name == "attempts")


def stage_of(attempt: Path) -> Path:
    """Return the stage folder of an attempt, or of a shard of one."""
    return next(parent.parent for parent in attempt.parents if parent.name == "attempts")


def claim(stage: Path, job: JobRecord) -> Path | None:
    """Create the folder of attempt `job.number` with `job.json`; return None if the number is already claimed.

    Raises:
        MissingRequirement: the disk is full or the folder cannot be written.
    """
    return claim_all([(stage, job)])[0]


def claim_all(wanted: Sequence[tuple[Path, JobRecord]]) -> list[Path | None]:
    """Claim attempts of several stages; return the folder of each, or None if its number is already claimed.

    All records are written before the first is synced, so that the disk writes them together; then the folders appear.
    After a loss of power a folder has its whole record, or does not exist and its stage is planned.

    Raises:
        MissingRequirement: the disk is full or a folder cannot be written; nothing is claimed then.
    """
    asides: list[Path] = []
    claimed: list[Path | None] = []
    parent = Path()
    try:
        for stage, job in wanted:
            parent = attempts_folder(stage)
            parent.mkdir(exist_ok=True)
            aside = parent / f".{job.number:03d}.{os.urandom(6).hex()}.tmp"
            aside.mkdir(mode=PRIVATE_WRITE)
            asides.append(aside)
            write_json(aside / JOB, job.model_dump(), durable=False)
        sync_all([path for aside in asides for path in (aside / JOB, aside)])
        for aside, (stage, job) in zip(asides, wanted, strict=True):
            parent = attempts_folder(stage)
            claimed.append(_appear(aside, attempt_path(stage, job.number)))
    except OSError as error:
        for aside in asides:
            _discard(aside)
        for path in claimed:
            if path is not None:
                discard_claim(path)
        raise MissingRequirement(
            f"cannot write in {parent}: {error.strerror}",
            detail="The stage was not started." if len(wanted) == 1 else "None of the stages was started.",
            remedy="Free some space or fix the permissions, then run the same command again.",
        ) from error
    return claimed


def _appear(aside: Path, final: Path) -> Path | None:
    """Rename a finished folder to its final name; discard it and return None if that exists."""
    try:
        aside.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        _discard(aside)
        return None
    return final


def _discard(aside: Path) -> None:
    import shutil

    shutil.rmtree(aside, ignore_errors=True)


def read_record(path: Path, model: type[R]) -> R | None:
    """Return a record of an attempt, or None if the file does not exist.

    Raises:
        ValueError: it is not such a record; DamagedFile, which is one: the file is not JSON.
    """
    raw = read_json(path)
    return None if raw is None else model.model_validate(raw)


def latest_settings(stage: Path) -> dict[str, Any]:
    """Return the settings of a stage's latest attempt; empty without one, or where its record cannot be read."""
    numbers = attempt_numbers(stage)
    with suppress(OSError, ValueError):
        job = read_record(attempt_path(stage, numbers[-1]) / JOB, JobRecord) if numbers else None
        return {} if job is None else job.settings
    return {}


def write_record(path: Path, record: _AttemptRecord) -> None:
    """Write a record, atomically.

    Raises:
        OSError: the disk is full, or the folder does not exist.
    """
    write_json(path, record.model_dump())


def reserve_records(attempt: Path) -> None:
    """Reserve disk space for the records that must be written when the disk is full: end, error, cancel request."""
    for name in (EXIT, ERROR, CANCEL):
        reserve_file(attempt / name)


def write_exit(attempt: Path, record: ExitRecord) -> None:
    """Write `exit.json`, into the reserved space if the disk is full. Create the folder again if it is missing.

    Raises:
        OSError: it cannot be written in the reserve either.
    """
    attempt.mkdir(parents=True, exist_ok=True)
    if len(json.dumps(record.model_dump())) > RESERVE_BYTES:
        record = record.model_copy(update={"reason": record.reason[:_LONGEST_REASON]})
    write_reserved(attempt / EXIT, record.model_dump())
    for name in (ERROR, CANCEL):
        with suppress(OSError):
            (attempt / f".{Path(name).stem}.reserve").unlink(missing_ok=True)


def discard_claim(attempt: Path) -> None:
    """Remove an attempt that was claimed but could not be submitted; needs no free space."""
    aside = attempt.with_name(f".{attempt.name}.{os.urandom(6).hex()}.tmp")
    with suppress(OSError):
        attempt.rename(aside)
        _discard(aside)
