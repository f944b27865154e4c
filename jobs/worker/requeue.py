"""Requeues a Slurm job whose stage was stopped without the signal that submitit waits for.

Clusters without `preempt_send_user_signal` announce a preemption by SIGTERM alone, as scancel does. A job that then
ends by itself within the grace time is not requeued (measured on 22.05), so the worker requests it, after checking
that the job was not cancelled.
"""

import os
import re
import time
from collections.abc import Mapping
from typing import Final

from jobs.attempts.records import ExitRecord
from jobs.slurm import client as slurm
from jobs.worker.records import AttemptRecorder

_JOB_STATE: Final = re.compile(r"\bJobState=([A-Z_]+)")
_RESTARTS: Final = re.compile(r"\bRestarts=(\d+)")
_RUNNING_STATES: Final = frozenset({"RUNNING", "SIGNALING"})
_TIMEOUT_S: Final = 60.0
_REQUEUE_WAIT_S: Final = 120.0
"""Seconds that Slurm may take to end a job after a requeue request."""


def own_job_id(environment: Mapping[str, str] = os.environ) -> str:
    """Return the id of the surrounding job, as scontrol takes it."""
    array = environment.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{environment['SLURM_ARRAY_TASK_ID']}" if array else environment["SLURM_JOB_ID"]


def conclude_interrupted(ended: ExitRecord, records: AttemptRecorder) -> ExitRecord:
    """Query Slurm about a stage stopped from outside, request a requeue, and return the record of the end.

    It does not return while Slurm ends this job to start it again.
    """
    job_id = own_job_id()
    try:
        state, restarts = _job_state_and_restarts(job_id)
    except slurm.SlurmCommandError as problem:
        return ended.model_copy(update={"reason": f"stopped by Slurm, which could not be asked why: {problem}"})
    again = ended.model_copy(update={"why": "preempted", "requeued": True})
    if restarts > int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return again  # Slurm or another process has requeued it already
    if state not in _RUNNING_STATES:
        return ended.model_copy(update={"why": "cancelled", "reason": "cancelled outside cogtui"})
    records.write_end(again)  # before the request: this process may not outlive it
    try:
        slurm.run_command(["scontrol", "requeue", job_id], timeout_s=_TIMEOUT_S)
    except slurm.SlurmCommandError as problem:
        return ended.model_copy(update={"why": "preempted", "reason": f"preempted; not queued again: {problem}"})
    time.sleep(_REQUEUE_WAIT_S)
    return again


def _job_state_and_restarts(job_id: str) -> tuple[str, int]:
    """Return the state of a job and its number of restarts. A requeue counts before the job has ended."""
    said = slurm.run_command(["scontrol", "show", "job", "-o", job_id])
    state, restarts = _JOB_STATE.search(said), _RESTARTS.search(said)
    if state is None or restarts is None:
        raise slurm.SlurmCommandError(f"cannot read the output of scontrol: {said.strip()[:60]!r}")
    return state[1], int(restarts[1])
