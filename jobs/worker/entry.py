"""The worker of an attempt, the same on this machine and on Slurm. `StageRun` is all that submitit pickles.

The worker runs the stage as a child process, writes the records of the attempt, forwards signals, and starts the
stage again after an interruption from outside. It has one thread, which sleeps until the child ends, a signal
arrives, or the next heartbeat is due.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

from jobs import submitit_adapter
from jobs.attempts import processes as process
from jobs.attempts import records as attempts
from jobs.attempts.agent_link import ensure_agent
from jobs.attempts.records import EndCause, ExitRecord, JobRecord
from jobs.attempts.warning import warn_seconds
from jobs.worker import requeue
from jobs.worker.command import child_environment, stage_command
from jobs.worker.records import AttemptRecorder
from jobs.worker.resource_monitor import ResourceMonitor, oom_kills
from jobs.worker.signal_escalation import SignalEscalation
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, Interrupted
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.signals import EXIT_INTERRUPTED

HEARTBEAT_S: Final = 10.0
MAX_RESUMES: Final = 20
"""Interruptions from outside after which a start gives up."""

MAX_STARTS_WITHOUT_PROGRESS: Final = 8
"""Starts in a row without a new checkpoint or progress after which an attempt gives up: it never gets anywhere."""

_CANNOT_START: Final = 127
_NEVER: Final = float("inf")


class StageRun:
    """Runs the stage of an attempt; called by submitit on the node.

    It pickles as one string, so that a job runs the code and files of the time it starts, not of its submission.
    """

    def __init__(self, attempt: str) -> None:
        self.attempt = attempt
        self._worker: Worker | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"attempt": self.attempt, "_worker": None}

    def __call__(self) -> str:
        """Run the attempt to its end; raise `SystemExit` with the stage's exit code unless it is done."""
        self._worker = Worker(Path(self.attempt))
        try:
            code = self._worker.run()
        except submitit_adapter.uncompleted_job_error():
            code = self._worker.conclude()
        if code:
            sys.exit(code)
        return "done"

    def checkpoint(self) -> Any:
        """Stop the stage; return the function to run next in the same job, or None.

        submitit calls this in its signal handler, shortly before a time limit or a preemption.
        """
        if self._worker is not None and not self._worker.stop_for_requeue():
            return None
        return submitit_adapter.resubmission(StageRun(self.attempt))


class Worker:
    """One start of an attempt, from `started.json` to `exit.json`."""

    def __init__(self, attempt: Path) -> None:
        self.attempt = attempt
        self.stage = StageFolder(attempts.stage_of(attempt))
        job = attempts.read_record(attempt / attempts.JOB, JobRecord)
        if job is None:
            raise FileNotFoundError(f"{attempt / attempts.JOB} does not exist: this attempt was deleted")
        self.job = job
        self.records = AttemptRecorder(attempt, self.stage, job)
        self._child: subprocess.Popen[bytes] | None = None
        self._stop_signal = 0
        self._why: EndCause = ""
        self._concluded: int | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ooms = oom_kills()
        self._activity = ResourceMonitor()

    def run(self) -> int:
        """Run the stage, again after an interruption from outside; return the exit code for the scheduler."""
        process.become_subreaper()
        self._take_signals()
        ended: ExitRecord | None = None
        for resume in range(MAX_RESUMES + 1):
            self._why = ""
            self.records.begin(ended)
            if self.records.cancel() is not None:
                return self._finish(self.records.end(None, None, "cancelled"))
            if self._superseded():
                reason = "a newer attempt replaced it"
                return self._finish(self.records.end(None, None, "cancelled", reason=reason))
            if (starts := self.records.starts_without_progress()) >= MAX_STARTS_WITHOUT_PROGRESS:
                reason = f"stopped after {starts} starts in a row without progress, each ended from outside"
                return self._finish(self.records.end(None, None, "failed", reason=reason))
            ended = self._run_child()
            outside = ended.why == "interrupted" and not self._stop_signal
            if not outside or resume == MAX_RESUMES:
                break
            self._sweep()
        assert ended is not None
        if ended.why == "interrupted" and self.job.cluster == "slurm" and self.records.leads:
            self._sweep()
            ended = requeue.conclude_interrupted(ended, self.records)
        return self._finish(ended)

    def _superseded(self) -> bool:
        """Whether a newer attempt exists: a user can requeue this job long after its end."""
        return self.job.number < max(attempts.attempt_numbers(self.stage.path), default=0)

    def _run_child(self) -> ExitRecord:
        """Start the child, wait for it, and return the record of its end."""
        rank = "" if self.records.leads else f".{os.environ['SLURM_PROCID']}"
        command = stage_command(self.job, self.stage.path)
        with (
            (self.attempt / (attempts.STDOUT + rank)).open("ab") as stdout,
            (self.attempt / (attempts.STDERR + rank)).open("ab") as stderr,
        ):
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    cwd=self.stage.path,
                    env=child_environment(self.job, self.attempt),
                    preexec_fn=process.die_with_parent,
                )
            except OSError as error:
                reason = f"cannot start {command[0]}: {error.strerror}"
                return self.records.end(_CANNOT_START, None, "failed", reason=reason)
        self.records.child(self._child.pid, command)
        self._watch(self._child)
        returned = self._child.wait()
        code, number = (returned, None) if returned >= 0 else (None, -returned)
        return self._end(code, number)

    def conclude(self) -> int:
        """Record the end of a start whose wait was interrupted by an exception; return the exit code."""
        if self._concluded is not None:
            return self._concluded
        assert self._child is not None
        returned = self._child.wait()
        return self._finish(self._end(*((returned, None) if returned >= 0 else (None, -returned))))

    # -- waiting -----------------------------------------------------------------------------------

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        """Wait for the child; meanwhile write heartbeats and handle the time limit, signals and cancel requests."""
        descriptor = os.pidfd_open(child.pid)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        ending: SignalEscalation | None = None
        limit_at = self._limit()
        warn_at = limit_at
        beat_at = 0.0
        try:
            while True:
                now = time.monotonic()
                if now >= beat_at:
                    self._heartbeat(child.pid)
                    beat_at = now + HEARTBEAT_S
                    warn_at = limit_at - self._warn_s()
                    ending = ending or self._ending_for_cancel()
                if ending is None and self._stop_signal:
                    ending = self._ending_for_cancel() or self._ending_for_stop()
                if ending is None and now >= warn_at:
                    self._why = "timeout"
                    ending = SignalEscalation((signal.SIGTERM, limit_at - now), (signal.SIGKILL, 1.0))
                if ending is not None:
                    ending.step(self._members, now)
                until = min(beat_at, warn_at if ending is None else ending.next_at)
                ready = {found for found, _ in poller.poll(max(1, int((until - now) * 1000) + 1))}
                if descriptor in ready:
                    return
                if self._wake_read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
        finally:
            os.close(descriptor)

    def _members(self) -> list[int]:
        return process.descendants(os.getpid())

    def _limit(self) -> float:
        """Return when to end the stage, on the monotonic clock; Slurm enforces its own limit."""
        if self.job.cluster == "slurm" or self.job.time_limit_s is None:
            return _NEVER
        return time.monotonic() + self.job.time_limit_s

    def _warn_s(self) -> float:
        """Return how long before the limit to warn the stage, by its last save."""
        given = self.job.resources.get("warn_s")
        return warn_seconds(given, self.job.time_limit_s, self.stage.last_save_s(), self.job.cluster)

    def _ending_for_cancel(self) -> SignalEscalation | None:
        cancel = self.records.cancel()
        if cancel is None:
            return None
        self._why = "cancelled"
        return SignalEscalation(
            (signal.SIGINT, cancel.grace_s), (signal.SIGTERM, min(5.0, cancel.grace_s)), (signal.SIGKILL, 1.0)
        )

    def _ending_for_stop(self) -> SignalEscalation:
        if self.job.cluster == "local":
            return SignalEscalation((signal.SIGTERM, 20.0), (signal.SIGKILL, 1.0))
        # Slurm signals every process of the step and kills it later by itself; a second signal would interrupt the
        # stage while it saves, so this one comes late
        return SignalEscalation((0, 5.0), (signal.SIGTERM, 3600.0))

    def _heartbeat(self, child: int) -> None:
        if self.records.leads:
            beat = self._activity.sample([child, *process.descendants(child)], self.attempt)
            with contextlib.suppress(OSError):
                write_json(self.attempt / attempts.HEARTBEAT, beat, durable=False)

    # -- signals -----------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        if self.job.cluster == "local":
            numbers.append(signal.SIGUSR2)  # on Slurm submitit handles it: it requeues the job
        for number in numbers:
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop_signal = number

    def stop_for_requeue(self) -> bool:
        """Stop the stage and record the end of this start; return True if the job is to be started again.

        It runs inside a signal handler that interrupted `_watch`, so it waits for the child by its pidfd and leaves
        reaping to the interrupted code.
        """
        child = self._child
        self._why = "cancelled" if self.records.cancel() is not None else self._why_warned()
        code: int | None = None
        number: int | None = None
        if child is not None:
            self._stop_within(child.pid, max(3.0, self.job.warn_s - 15.0))
            code, number = _peek(child.pid)
        if code == 0:
            return False  # it finished in time
        again = self._why != "cancelled"
        self._concluded = self._finish(self.records.end(code, number, self._why, requeued=again))
        return again

    def _stop_within(self, pid: int, seconds: float) -> None:
        # Slurm signals every process of the step, so the stage is usually stopping already; see _ending_for_stop
        if process.wait_for_exit([pid], seconds / 3):
            process.send_signal([pid], signal.SIGTERM)
            if process.wait_for_exit([pid], seconds / 2):
                process.send_signal(self._members(), signal.SIGKILL)
                process.wait_for_exit([pid], 2.0)

    def _why_warned(self) -> EndCause:
        """Return whether a warning means the time limit or a preemption, judged by its time."""
        run = self.records.run
        if run is None or self.job.time_limit_s is None:
            return "preempted"
        # Slurm may send the warning up to a minute early
        near = time.time() - run.started >= self.job.time_limit_s - self.job.warn_s - 65
        return "timeout" if near else "preempted"

    # -- the end -----------------------------------------------------------------------------------

    def _end(self, code: int | None, number: int | None) -> ExitRecord:
        if code == 1 and self._was_interrupted():
            code = EXIT_INTERRUPTED  # torchrun replaces the exit code of its processes by 1
        oom = number == signal.SIGKILL and oom_kills() > self._ooms
        return self.records.end(code, number, self._why_ended(code, number), out_of_memory=oom)

    def _was_interrupted(self) -> bool:
        with contextlib.suppress(CogtuiError, OSError):
            error = read_json(self.attempt / attempts.ERROR)
            return isinstance(error, dict) and error.get("code") == Interrupted.code
        return False

    def _why_ended(self, code: int | None, number: int | None) -> EndCause:
        if code == 0:
            return "done" if self.job.shard is not None or self.stage.result() is not None else "failed"
        if self._why:
            return self._why
        if self.records.cancel() is not None:
            return "cancelled"
        stopped = self._stop_signal and number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGKILL)
        return "interrupted" if code == EXIT_INTERRUPTED or stopped else "failed"

    def _finish(self, record: ExitRecord) -> int:
        self._sweep()
        self.records.write_end(record)
        if self.job.cluster == "local":
            with contextlib.suppress(CogtuiError):
                # if the agent was killed, jobs that wait for this one would wait for ever
                ensure_agent(Workspace(self.stage.path.parent.parent))
        if record.why == "done":
            return 0
        return record.code or (128 + record.signal if record.signal else 1)

    def _sweep(self) -> None:
        """End leftover processes of the stage: servers, data loaders, daemons."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            left = self._members()
            if not left:
                return
            process.send_signal(left, number)
            process.wait_for_exit(left, 2.0)


def _peek(pid: int) -> tuple[int | None, int | None]:
    """Return exit code or signal of an ended child without reaping it; (None, None) if it runs or was reaped."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None, None
    if found is None:
        return None, None
    return (found.si_status, None) if found.si_code == os.CLD_EXITED else (None, found.si_status)
