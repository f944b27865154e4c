"""Writes the records of a worker's starts: `started.json` while it runs, `exit.json` at its end."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jobs.attempts import processes as process
from jobs.attempts import records as attempts
from jobs.attempts.records import CancelRequest, EndCause, ExitRecord, JobRecord, ResumeRecord, StartRecord, WorkerRun
from pipelines.errors import CogtuiError
from pipelines.folder import RESUMED, StageFolder

_WRITE_RETRY_S: Final = 30.0


class AttemptRecorder:
    """Writes the records of one worker. Of a job on several nodes, only the worker of the first node writes."""

    def __init__(self, attempt: Path, stage: StageFolder, job: JobRecord) -> None:
        self._attempt = attempt
        self._stage = stage
        self._job = job
        self._started: StartRecord | None = None
        self.leads = int(os.environ.get("SLURM_PROCID") or 0) == 0

    @property
    def run(self) -> WorkerRun | None:
        """The current start."""
        return self._started.run if self._started else None

    def cancel(self) -> CancelRequest | None:
        """Return the cancel request for this attempt, or None."""
        whole = self._attempt if self._job.shard is None else self._attempt.parent
        try:
            return attempts.read_record(whole / attempts.CANCEL, CancelRequest)
        except (OSError, ValueError):
            return None

    def begin(self, ended: ExitRecord | None = None) -> None:
        """Record a new start and move the previous one to the history.

        Args:
            ended: the end of the previous start, if this worker saw it.
        """
        earlier = self._earlier(ended)
        latest = self._stage.latest_checkpoint()
        run = WorkerRun(
            number=len(earlier) + 1,
            host=process.host_name(),
            started=time.time(),
            progress=self._progress(),
            newest_checkpoint=latest[0] if latest else None,
        )
        self._started = StartRecord(
            worker=process.process_id(),
            run=run,
            earlier=earlier,
            job_id=os.environ.get("SLURM_JOB_ID") or str(os.getpid()),
            scheduler_restarts=int(os.environ.get("SLURM_RESTART_COUNT") or 0),
            gpus=os.environ.get("CUDA_VISIBLE_DEVICES"),
        )
        if earlier:
            where = f"the newest checkpoint is of step {latest[0]}" if latest else "without a checkpoint"
            self.note(f"start {run.number} on {run.host}, {where}")
        self._patiently(self._write_started)
        with contextlib.suppress(OSError):
            # after started.json: a reader that finds both uses the later start
            (self._attempt / attempts.EXIT).unlink(missing_ok=True)
            (self._attempt / attempts.ERROR).unlink(missing_ok=True)
            (self._attempt / RESUMED).unlink(missing_ok=True)
        if self.leads:
            attempts.reserve_records(self._attempt)

    def _progress(self) -> float | None:
        with contextlib.suppress(OSError, ValueError, CogtuiError):
            progress = self._stage.progress()
            return None if progress is None else progress.done
        return None

    def starts_without_progress(self) -> int:
        """Return how many of the latest starts, before this one, brought neither a checkpoint nor progress."""
        if self._started is None:
            return 0
        count = 0
        now = self._started.run
        for run in reversed(self._started.earlier):
            if (run.newest_checkpoint, run.progress) != (now.newest_checkpoint, now.progress):
                break
            count += 1
        return count

    def child(self, pid: int, command: list[str]) -> None:
        """Add the stage's own process to the record."""
        assert self._started is not None
        with contextlib.suppress(ProcessLookupError, OSError):
            update = {"child": process.process_id(pid), "command": tuple(command)}
            self._started = self._started.model_copy(update=update)
            self._write_started()

    def end(
        self,
        code: int | None,
        number: int | None,
        why: EndCause,
        *,
        reason: str = "",
        out_of_memory: bool = False,
        requeued: bool = False,
    ) -> ExitRecord:
        """Return the record of the end of this start; `write_end` writes it."""
        return ExitRecord(
            run=self._started.run.number if self._started else 1,
            host=process.host_name(),
            time=time.time(),
            code=code,
            signal=number,
            why=why,
            reason=reason,
            out_of_memory=out_of_memory,
            requeued=requeued,
        )

    def write_end(self, record: ExitRecord) -> None:
        """Write `exit.json`."""
        self._patiently(lambda: attempts.write_exit(self._attempt, record))

    def note(self, text: str) -> None:
        """Append a line to the stage's log."""
        if not self.leads:
            return
        with contextlib.suppress(OSError), (self._attempt / attempts.STDERR).open("a", encoding="utf-8") as stream:
            stream.write(f"cogtui: {text}\n")

    def _earlier(self, ended: ExitRecord | None) -> tuple[WorkerRun, ...]:
        """Return the earlier starts, each with its end if known."""
        try:
            before = attempts.read_record(self._attempt / attempts.STARTED, StartRecord)
            ended = ended or attempts.read_record(self._attempt / attempts.EXIT, ExitRecord)
        except (OSError, ValueError):
            return ()
        if before is None:
            return ()
        last = before.run
        with contextlib.suppress(OSError, ValueError, CogtuiError):
            resumed = attempts.read_record(self._attempt / RESUMED, ResumeRecord)
            last = last.model_copy(update={"resumed_step": resumed.step or None}) if resumed else last
        if ended is not None and ended.run == last.number:
            update = {"ended": ended.time, "code": ended.code, "signal": ended.signal, "why": ended.why}
            last = last.model_copy(update=update)
        elif self._job.cluster == "slurm":
            # Slurm killed it without a warning and started it again
            last = last.model_copy(update={"why": "preempted"})
        return (*before.earlier, last)

    def _write_started(self) -> None:
        if self.leads and self._started is not None:
            attempts.write_record(self._attempt / attempts.STARTED, self._started)

    def _patiently(self, write: Callable[[], None]) -> None:
        """Retry a write for 30 s, e.g. on a full disk, then give up: the state follows from other evidence."""
        if not self.leads:
            return
        deadline = time.monotonic() + _WRITE_RETRY_S
        while True:
            try:
                write()
            except OSError as error:
                if time.monotonic() >= deadline or error.errno == errno.EROFS:
                    sys.stderr.write(f"cogtui: cannot write a record of this attempt: {error}\n")
                    return
                time.sleep(1.0)
            else:
                return
