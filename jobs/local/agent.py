"""The agent of a workspace: serves the local queue, detached from terminals, and exits when the queue is empty.

`python -m jobs.local.agent WORKSPACE`, started by `jobs.attempts.agent_link.ensure_agent`, orders local jobs by their
inputs and by CPU and GPU slots. It may be killed at any time: jobs run in their own sessions, the queue is on disk,
and the next agent continues.
"""

import contextlib
import errno
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jobs.attempts import processes as process
from jobs.attempts import records as attempts
from jobs.attempts.agent_link import answer, listen
from jobs.attempts.agent_lock import TOUCH_S, AgentLock
from jobs.attempts.environment_keeper import kept_environment
from jobs.attempts.records import ExitRecord, StartRecord
from jobs.attempts.tickets import LocalQueue, Placement, QueuedTicket, Ticket
from jobs.local.executor import start_worker
from jobs.local.inputs import inputs_of
from jobs.local.slots import Machine, Slots
from jobs.state.failures import last_error
from jobs.workspace import Workspace
from pipelines.folder import StageFolder

IDLE_S: Final = 1.0
"""Seconds an agent without work waits for more."""
_LOCK_PATIENCE_S: Final = 5.0
_POLL_S: Final = 2.0
"""Seconds between checks for new work where there is no socket."""
_INPUTS_S: Final = 10.0
"""Seconds between checks of inputs outside this queue, e.g. on Slurm."""

log = logging.getLogger("cogtui.agent")


class Agent:
    """Serves the queue of one workspace."""

    def __init__(self, workspace: Workspace, machine: Machine) -> None:
        self.workspace = workspace
        self.queue = LocalQueue(workspace)
        self.machine = machine
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # -- the loop ----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Serve until the queue is empty or a signal stops this process."""
        self._take_signals()
        lock = AgentLock(self.workspace)
        while self.queue.has_tickets() and not self._stopping:
            if not lock.acquire(_LOCK_PATIENCE_S):
                log.info("another agent serves this workspace")
                return
            try:
                with self._listen() as listener:
                    self._adopt()
                    self._serve(listener, lock)
            finally:
                lock.release()
            # repeat: a ticket may have been added before the release, while its submitter found this agent alive

    def _serve(self, listener: socket.socket | None, lock: AgentLock) -> None:
        log.info(
            "serves %s with %d cores and GPUs [%s]", self.workspace.path, self.machine.cpus, ",".join(self.machine.gpus)
        )
        idle_since: float | None = None
        while not self._stopping:
            outside = self._tick()
            lock.touch()
            if self.queue.has_tickets():
                idle_since = None
                self._wait(listener, _INPUTS_S if outside else TOUCH_S)
            elif idle_since is None:
                idle_since = time.monotonic()
                self._wait(listener, IDLE_S)
            elif time.monotonic() - idle_since >= IDLE_S:
                log.info("nothing left to do")
                return
            else:
                self._wait(listener, IDLE_S)

    @contextlib.contextmanager
    def _listen(self) -> Iterator[socket.socket | None]:
        listener = listen(self.workspace)
        if listener is None:
            log.warning("there is no private folder for a socket; new work is found by polling")
            yield None
            return
        address = listener.getsockname()
        with listener:
            yield listener
        with contextlib.suppress(OSError):
            Path(address).unlink()

    def _wait(self, listener: socket.socket | None, seconds: float) -> None:
        """Sleep until a worker ends, a client connects, a signal arrives, or the time is up."""
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        if listener is None:
            seconds = min(seconds, _POLL_S)
        else:
            poller.register(listener, select.POLLIN)
        descriptors = []
        try:
            for queued in self.queue.tickets():
                if queued.ticket.placed is not None:
                    try:
                        descriptor = os.pidfd_open(queued.ticket.placed.worker.pid)
                    except OSError:
                        seconds = min(seconds, 1.0)  # it has ended
                        continue
                    descriptors.append(descriptor)
                    poller.register(descriptor, select.POLLIN)
            ready = {found for found, _ in poller.poll(int(seconds * 1000))}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if self._wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        if listener is not None and listener.fileno() in ready:
            self._hear(listener)

    @staticmethod
    def _hear(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    def _take_signals(self) -> None:
        def stop(number: int, frame: Any) -> None:
            self._stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    # -- one pass over the queue -------------------------------------------------------------------

    def _tick(self) -> bool:
        """End, block and start jobs; return True if a job waits for an input outside this queue."""
        tickets = self.queue.tickets()
        running = [queued for queued in tickets if self._still_runs(queued)]
        waiting = [queued for queued in tickets if queued.ticket.placed is None]
        slots = Slots(self.machine, [queued.ticket.placed for queued in running if queued.ticket.placed])
        live = {queued.ticket.key for queued in (*running, *waiting)}
        outside = False
        for queued in waiting:
            ticket = queued.ticket
            attempt = self._attempt(queued)
            if not (attempt / attempts.JOB).exists():
                self._drop(queued, "its attempt folder was deleted")
                continue
            if (attempt / attempts.CANCEL).exists():
                self._end(queued, ExitRecord(run=0, host=process.host_name(), time=time.time(), why="cancelled"))
                live.discard(ticket.key)
                continue
            inputs = inputs_of(self.workspace, ticket, live)
            outside = outside or inputs.outside
            if inputs.blocked:
                self._end(
                    queued,
                    ExitRecord(run=0, host=process.host_name(), time=time.time(), why="blocked", reason=inputs.text),
                )
                live.discard(ticket.key)
                continue
            if inputs.text:
                self._note_wait(queued, inputs.text)
                continue
            taken = slots.take(ticket)
            if isinstance(taken, str):
                self._note_wait(queued, taken)
                continue
            self._start(queued, *taken)
        return outside

    def _start(self, queued: QueuedTicket, cpus: int, gpus: tuple[str, ...]) -> None:
        attempt = self._attempt(queued)
        visible = ",".join(gpus) if self.machine.gpus else None
        environment = self._environment(queued.ticket)
        if environment is None:
            reason = "the environment of its submitter is gone with the process that kept it"
            self._end(queued, ExitRecord(run=0, host=process.host_name(), time=time.time(), why="lost", reason=reason))
            return
        try:
            child = start_worker(attempt, gpus=visible, environment=environment)
        except OSError as error:
            log.warning("cannot start %s: %s", attempt, error)
            self._note_wait(queued, f"cannot be started: {error.strerror}")
            return
        log.info("starts %s as process %d, GPUs [%s]", attempt, child.pid, ",".join(gpus))
        self._children[queued.file] = child
        placed = Placement(worker=process.process_id(child.pid), cpus=cpus, gpus=gpus)
        self.queue.update(queued, queued.ticket.model_copy(update={"placed": placed, "waits_for": ""}))

    @staticmethod
    def _environment(ticket: Ticket) -> dict[str, str] | None:
        """Return the environment for a job; None if its submitter's is gone."""
        if ticket.environment is None:
            return dict(os.environ)
        if not process.is_visible_here(ticket.environment):
            log.warning("%s was submitted on %s: it gets the agent's environment", ticket.key, ticket.environment.host)
            return dict(os.environ)
        return kept_environment(ticket.environment)

    def _still_runs(self, queued: QueuedTicket) -> bool:
        """Return whether a started job runs; if not, end its leftover processes and record its end."""
        placed = queued.ticket.placed
        if placed is None:
            return False
        child = self._children.get(queued.file)
        if child is not None:
            child.poll()  # reaps it
        if process.is_alive(placed.worker) is not False:
            return True
        self._children.pop(queued.file, None)
        attempt = self._attempt(queued)
        process.end_attempt_processes(attempt, grace_s=0.0)
        code = child.returncode if child is not None else None
        log.info("%s ended%s", attempt, "" if code is None else f" with {code}")
        if attempt.exists() and not self._told_its_end(attempt):
            self._end(queued, self._unexpected_end(attempt, code))
        else:
            self.queue.remove(queued)
        return False

    @staticmethod
    def _told_its_end(attempt: Path) -> bool:
        try:
            started = attempts.read_record(attempt / attempts.STARTED, StartRecord)
            ended = attempts.read_record(attempt / attempts.EXIT, ExitRecord)
        except (OSError, ValueError):
            return True  # a damaged record is left as it is
        return ended is not None and (started is None or ended.run >= started.run.number)

    @staticmethod
    def _unexpected_end(attempt: Path, code: int | None) -> ExitRecord:
        """Return the exit record of a worker that wrote none."""
        started = attempts.read_record(attempt / attempts.STARTED, StartRecord)
        cancelled = (attempt / attempts.CANCEL).exists()
        reason = "its worker ended without an exit record"
        if code is not None and code < 0:
            reason = f"its worker was killed by signal {-code}"
        elif code:
            said = last_error(attempt / attempts.WORKER_LOG)
            reason = f"its worker ended with code {code} before the stage ended: {said or f'see {attempts.WORKER_LOG}'}"
        return ExitRecord(
            run=started.run.number if started else 0,
            host=process.host_name(),
            time=time.time(),
            why="cancelled" if cancelled else "lost" if code is None or code < 0 else "failed",
            reason="" if cancelled else reason,
        )

    def _end(self, queued: QueuedTicket, record: ExitRecord) -> None:
        attempt = self._attempt(queued)
        log.info("%s: %s %s", attempt, record.why, record.reason)
        try:
            attempts.write_exit(attempt, record)
        except OSError as error:
            log.warning("cannot write the end of %s: %s", attempt, error)
            if error.errno == errno.EROFS:
                self._stopping = True  # nothing can be recorded any more; the next command starts an agent
            return  # the ticket stays, so that the write is retried
        self.queue.remove(queued)

    def _drop(self, queued: QueuedTicket, why: str) -> None:
        log.warning("%s is dropped: %s", self._attempt(queued), why)
        self.queue.remove(queued)

    def _note_wait(self, queued: QueuedTicket, text: str) -> None:
        if queued.ticket.waits_for != text:
            self.queue.update(queued, queued.ticket.model_copy(update={"waits_for": text}))

    def _attempt(self, queued: QueuedTicket) -> Path:
        stage: StageFolder = self.workspace.folder(queued.ticket.key)
        return attempts.attempt_path(stage.path, queued.ticket.number)

    def _adopt(self) -> None:
        """Adopt workers whose agent died before it could update their ticket; remove damaged tickets."""
        for name in self.queue.remove_damaged():
            log.warning("ticket %s was damaged and is removed; the next run continues its attempt", name)
        for queued in self.queue.tickets():
            if queued.ticket.placed is not None:
                continue
            attempt = self._attempt(queued)
            try:
                started = attempts.read_record(attempt / attempts.STARTED, StartRecord)
            except (OSError, ValueError):
                started = None
            worker = started.worker if started else None
            if worker is None:
                members = process.attempt_processes(attempt)
                with contextlib.suppress(ProcessLookupError):
                    worker = process.process_id(min(members)) if members else None
            if worker is not None:
                ticket = queued.ticket
                placed = Placement(worker=worker, cpus=ticket.cpus, gpus=_gpus_of(started))
                self.queue.update(queued, ticket.model_copy(update={"placed": placed, "waits_for": ""}))


def _gpus_of(started: StartRecord | None) -> tuple[str, ...]:
    return tuple(name for name in (started.gpus or "").split(",") if name) if started else ()


def main(arguments: list[str]) -> None:
    """Serve the workspace named by the one argument."""
    logging.raiseExceptions = False  # a log on a full disk is no reason for tracebacks in it
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s [{os.getpid()}] %(message)s")
    Agent(Workspace(Path(arguments[0])), Machine.here()).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
