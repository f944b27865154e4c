"""Cancels stages and their dependents, from any process, even if the agent or the worker is dead."""

import signal
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.attempts import processes as process
from jobs.attempts import records as attempts
from jobs.attempts.agent_link import notify_agent
from jobs.attempts.records import CancelRequest, ExitRecord, StartRecord
from jobs.attempts.tickets import SLURM_MARK, LocalQueue
from jobs.slurm.types import UNDER_WAY
from jobs.state.reader import StageState, StateReader
from jobs.user import user_name
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from pipelines.files import write_reserved

GRACE_S: Final = 10.0
"""Seconds that a stage has to end by itself after the first signal."""
_AFTER_GRACE_S: Final = 10.0
"""Seconds that the worker then has for stronger signals and its last record."""


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """The outcome of a cancel request for one stage."""

    key: str
    state: StageState
    """The state afterwards."""
    was: StageState
    because: str = ""
    """Key of the stage whose cancellation cancelled this one; empty if it was named itself."""


def dependents(workspace: Workspace, keys: Iterable[str]) -> dict[str, str]:
    """Return active stages that need one of these, directly or indirectly: key → the cancelled input."""
    states = StateReader(workspace).read()
    return _dependents(states, _inputs(workspace, states), keys)


def cancel(
    workspace: Workspace, keys: Iterable[str], *, with_dependents: bool = True, grace_s: float = GRACE_S
) -> list[CancelOutcome]:
    """End stages and their processes; return when they have ended or could not be ended.

    Inactive stages are left as they are.

    Args:
        workspace: where they are.
        keys: full keys.
        with_dependents: also queued stages that need them and could never start.
        grace_s: seconds between SIGINT and SIGTERM; SIGKILL follows.

    Raises:
        MissingRequirement: stages were ended but that cannot be recorded, or Slurm cannot be reached.
    """
    named = list(dict.fromkeys(keys))
    reader = StateReader(workspace)
    before = reader.read(ask_slurm=True)
    because = _dependents(before, _inputs(workspace, before), named) if with_dependents else {}
    # dependents first, so that none of them starts when its input ends
    chosen = [key for key in (*because, *named) if key in before and before[key].active]
    # a request that cannot be saved keeps no stage running: its processes are signalled all the same
    unsaved = [error for key in chosen if (error := _request_cancel(before[key], because.get(key, ""), grace_s))]
    local = [before[key] for key in chosen if _cluster(before[key]) == "local"]
    remote = [before[key] for key in chosen if _cluster(before[key]) == "slurm"]
    if remote:
        _scancel(remote)
    if local:
        _end_local(workspace, local, grace_s)
    after = StateReader(workspace).read(before, ask_slurm=True)
    wrong = [key for key in chosen if after[key].state != "cancelled"]
    if unsaved and wrong:
        left = [key for key in wrong if after[key].active]
        raise MissingRequirement(
            f"the cancellation could not be recorded: {unsaved[0].strerror}",
            detail=f"Still active: {', '.join(left)}." if left else "Its processes were ended all the same.",
            remedy="Free some space or fix the file system; then cogtui ls shows what is left.",
        )
    return [
        CancelOutcome(key, after[key], before[key], because.get(key, ""))
        for key in dict.fromkeys((*named, *because))
        if key in after
    ]


def _inputs(workspace: Workspace, states: Mapping[str, StageState]) -> dict[str, tuple[str, ...]]:
    """Return the inputs of every active stage."""
    found = {}
    for key, state in states.items():
        if state.active:
            found[key] = workspace.folder(key).info().inputs
    return found


def _dependents(
    states: Mapping[str, StageState], inputs: Mapping[str, Sequence[str]], keys: Iterable[str]
) -> dict[str, str]:
    """Return the queued stages downstream of the active ones among `keys`."""
    going = {key for key in keys if key in states and states[key].active}
    named = set(going)
    found: dict[str, str] = {}
    grew = True
    while grew:
        grew = False
        for key, needs in inputs.items():
            cause = next((need for need in needs if need in going), None)
            if cause is not None and key not in going:
                going.add(key)
                grew = True
                if key not in named:
                    found[key] = cause
    return found


def _cluster(state: StageState) -> str:
    return state.attempt.cluster if state.attempt is not None else "local"


def _path(state: StageState) -> Path | None:
    return Path(state.attempt.path) if state.attempt is not None else None


def _request_cancel(state: StageState, because: str, grace_s: float) -> OSError | None:
    """Save a cancel request, on a full disk in the reserved space; return the error if it cannot be saved."""
    path = _path(state)
    if path is None:
        return None
    request = CancelRequest(
        time=time.time(), host=process.host_name(), user=user_name(), grace_s=grace_s, because=because
    )
    try:
        write_reserved(path / attempts.CANCEL, request.model_dump())
    except OSError as error:
        return error
    return None


def _scancel(states: Sequence[StageState]) -> None:
    ids = [job_id for state in states if state.attempt is not None for job_id in state.attempt.job_ids]
    if ids:
        _scancel_ids(ids)


def _scancel_ids(ids: Sequence[str]) -> None:
    from jobs.slurm import client as slurm

    try:
        slurm.run_command(["scancel", *ids])
    except slurm.SlurmCommandError as problem:
        raise MissingRequirement(
            f"Slurm could not be asked to cancel: {problem}",
            detail="The cancel request was saved: running jobs end at their next heartbeat.",
            remedy="Try again, or see cogtui doctor.",
        ) from problem
    _wait_slurm(set(ids))


def _wait_slurm(ids: Collection[str]) -> None:
    """Wait up to 10 s until Slurm lists the jobs as ended; pending ones end at once."""
    from jobs.slurm import client as slurm

    deadline = time.monotonic() + _AFTER_GRACE_S
    while time.monotonic() < deadline:
        answer = slurm.query_jobs(())
        left = [
            job
            for job_id, job in answer.jobs.items()
            if (job_id in ids or job_id.partition("_")[0] in ids) and job.state in UNDER_WAY
        ]
        if answer.problem or not left:
            return
        time.sleep(0.2)


def _end_local(workspace: Workspace, states: Sequence[StageState], grace_s: float) -> None:
    """Signal the worker of each job and wait; end the processes here if there is no worker."""
    paths = [path for path in map(_path, states) if path is not None]
    workers = {path: worker for path in paths if (worker := _worker(path)) is not None}
    process.send_signal((worker.pid for worker in workers.values()), signal.SIGINT)
    notify_agent(workspace)  # the agent removes cancelled jobs from the queue
    process.wait_for_exit([worker.pid for worker in workers.values()], grace_s + _AFTER_GRACE_S)
    for path in paths:
        process.end_attempt_processes(path, grace_s=0.0 if path in workers else grace_s)
    for state in states:
        _record_end(workspace, state)
    for state in states:
        if state.attempt is None:
            _end_stray(workspace, state.key, grace_s)


def _worker(path: Path) -> process.ProcessId | None:
    """Return the worker of an attempt if it is alive on this machine."""
    try:
        started = attempts.read_record(path / attempts.STARTED, StartRecord)
    except (OSError, ValueError):
        return None
    return started.worker if started is not None and process.is_alive(started.worker) else None


def _record_end(workspace: Workspace, state: StageState) -> None:
    """Record the end of an attempt without a worker, and remove it from the queue."""
    path = _path(state)
    if path is None or not path.exists() or _runs_elsewhere(path):
        return
    queue = LocalQueue(workspace)
    for queued in queue.tickets():
        if queued.ticket.key != state.key or attempts.attempt_path(path.parent.parent, queued.ticket.number) != path:
            continue
        queue.remove(queued)
    if not (path / attempts.EXIT).exists():
        try:
            started = attempts.read_record(path / attempts.STARTED, StartRecord)
        except (OSError, ValueError):
            started = None
        run = started.run.number if started else 0
        record = ExitRecord(run=run, host=process.host_name(), time=time.time(), why="cancelled")
        try:
            attempts.write_exit(path, record)
        except OSError:
            return  # cancel.json and the missing process lead to the same state


def _runs_elsewhere(path: Path) -> bool:
    """Whether it runs on another machine, where its worker reads the cancel request at its next heartbeat."""
    try:
        started = attempts.read_record(path / attempts.STARTED, StartRecord)
    except (OSError, ValueError):
        return False
    return started is not None and process.is_alive(started.worker) is None


def _end_stray(workspace: Workspace, key: str, grace_s: float) -> None:
    """End a job whose attempt folder was deleted, found by its ticket or its Slurm job name."""
    queue = LocalQueue(workspace)
    for queued in queue.tickets():
        placed = queued.ticket.placed
        if queued.ticket.key == key and placed is not None and process.is_alive(placed.worker):
            path = attempts.attempt_path(workspace.stages / key, queued.ticket.number)
            process.end_attempt_processes(path, grace_s=grace_s)
            queue.remove(queued)
    if (queue.folder / SLURM_MARK).exists():
        from jobs.slurm import client as slurm

        job = slurm.query_jobs(()).under_way(key, attempts.workspace_mark(workspace.path))
        if job is not None:
            _scancel_ids([job.job_id])
