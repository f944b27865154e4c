"""What a worker on Slurm does when the stage was stopped without the warning that submitit waits for.

Clusters that do not set `preempt_send_user_signal` announce a preemption by SIGTERM alone, as scancel does.
A job that then ends by itself within the grace time is not queued again (measured on 22.05), so the worker
asks for it, after making sure that the job was not cancelled.
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
"""How long Slurm may take to end a job that it is to start again."""


def own_job_id(environment: Mapping[str, str] = os.environ) -> str:
    """Id of the job this process is in, as scontrol takes it."""
    array = environment.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{environment['SLURM_ARRAY_TASK_ID']}" if array else environment["SLURM_JOB_ID"]


def conclude_interrupted(ended: ExitRecord, records: AttemptRecorder) -> ExitRecord:
    """What to record of a stage that was stopped from outside, once Slurm was asked; asks for a new start.

    Does not return while Slurm ends this job to start it again.
    """
    job_id = own_job_id()
    try:
        state, restarts = _job_state_and_restarts(job_id)
    except slurm.SlurmCommandError as problem:
        return ended.model_copy(update={"reason": f"stopped by Slurm, which could not be asked why: {problem}"})
    again = ended.model_copy(update={"why": "preempted", "requeued": True})
    if restarts > int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        return again  # somebody else asked for it, or Slurm did by itself
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
    """State of a job and how often it was started again. A requeue counts before the job has ended."""
    said = slurm.run_command(["scontrol", "show", "job", "-o", job_id])
    state, restarts = _JOB_STATE.search(said), _RESTARTS.search(said)
    if state is None or restarts is None:
        raise slurm.SlurmCommandError(f"scontrol printed what cannot be read: {said.strip()[:60]!r}")
    return state[1], int(restarts[1])
