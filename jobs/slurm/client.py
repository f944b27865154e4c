"""Queries Slurm: one squeue and at most one sacct for any number of jobs (docs/jobs.md).

Fields are requested one by one in a format that old and new versions share; no JSON, no --me. Unreadable output is
an error, never an empty queue.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable
from typing import Final

from jobs.slurm.types import SlurmAnswer, SlurmJob, SlurmPartition
from jobs.user import user_name

TIMEOUT_S: Final = 10.0
_JOB_ID: Final = re.compile(r"\d+(_\d+)?")
_STATE: Final = re.compile(r"[A-Z_]+")
_SQUEUE_FIELDS: Final = "%i|%T|%r|%N|%j"
_SINFO_FIELDS: Final = "%P|%a|%l|%F|%G"
_SACCT_FIELDS: Final = "JobID,State,ExitCode,NodeList,JobName"
_SACCT_IDS: Final = 1000
"""Ids per call; the rest waits for the next poll."""


class SlurmCommandError(Exception):
    """A scheduler command is missing, hangs, fails, or prints unreadable output.

    Args:
        text: what was wrong, in one line.
        output: all that the command printed on stderr.
    """

    def __init__(self, text: str, output: str = "") -> None:
        super().__init__(text)
        self.output = output


class SlurmRefusal(SlurmCommandError):
    """Slurm refused the command."""


class AccountingDisabled(SlurmCommandError):
    """This cluster has no accounting."""


def run_command(arguments: list[str], *, timeout_s: float | None = None) -> str:
    """Run a scheduler command; return its output.

    Args:
        arguments: the command line.
        timeout_s: time limit in seconds; 10 by default.

    Raises:
        SlurmCommandError: says what was wrong, in one line; a `SlurmRefusal` if Slurm refused.
    """
    name = arguments[0]
    patience = TIMEOUT_S if timeout_s is None else timeout_s
    # display preferences of the user must not change the output
    hidden = ("SQUEUE_", "SACCT_", "SLURM_TIME_FORMAT")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    environment["LC_ALL"] = "C"
    try:
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SlurmCommandError(f"{name} is not installed here") from None
    except OSError as error:
        raise SlurmCommandError(f"{name} cannot be started: {error.strerror}") from error
    try:
        output, errors = child.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=1.0)  # a process stuck in the kernel cannot be ended
        raise SlurmCommandError(f"{name} did not answer within {patience:g} s") from None
    if child.returncode != 0:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        text = f"{name} failed: {said[-1] if said else f'exit code {child.returncode}'}"
        # after a time-out inside Slurm the command may have succeeded
        whole = "\n".join(said)
        raise SlurmCommandError(text, whole) if "timed out" in text else SlurmRefusal(text, whole)
    return output.decode("utf-8", "replace")


def squeue() -> dict[str, SlurmJob]:
    """Return all jobs of this user that the controller lists, by id, including those that ended minutes ago.

    Raises:
        SlurmCommandError: squeue failed, or its output is unreadable.
    """
    output = run_command(["squeue", "-h", "-r", "-u", user_name(), "-t", "all", "-o", _SQUEUE_FIELDS])
    found = {}
    for line in output.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) != 5 or not _JOB_ID.fullmatch(fields[0]) or not _STATE.fullmatch(fields[1]):
            raise SlurmCommandError(f"cannot read the output of squeue: {line.strip()[:60]!r}")
        job_id, state, reason, nodes, name = fields
        found[job_id] = SlurmJob(job_id, state, "" if reason in ("None", "(null)") else reason, nodes, name)
    return found


def partitions() -> list[SlurmPartition]:
    """Return the partitions of this cluster, in the order of sinfo.

    Raises:
        SlurmCommandError: sinfo failed or its output is unreadable.
    """
    found: dict[str, SlurmPartition] = {}
    for line in run_command(["sinfo", "-h", "-o", _SINFO_FIELDS]).splitlines():
        fields = line.strip().split("|")
        if len(fields) != len(_SINFO_FIELDS.split("|")):
            raise SlurmCommandError(f"cannot read the output of sinfo: {line.strip()[:60]!r}")
        name, available, limit, nodes, gres = fields
        partition = SlurmPartition(name.rstrip("*"), name.endswith("*"), available == "up", limit, nodes, gres)
        found.setdefault(partition.name, partition)  # a line for each kind of node; the first is enough for a choice
    return list(found.values())


def sacct(job_ids: Iterable[str]) -> dict[str, SlurmJob]:
    """Return the jobs that accounting knows among these, by id.

    Raises:
        AccountingDisabled: this cluster has none. SlurmCommandError: sacct failed, or its output is unreadable.
    """
    wanted = sorted({job_id.partition("_")[0] for job_id in job_ids})[:_SACCT_IDS]
    try:
        output = run_command(["sacct", "-n", "-X", "-P", "-j", ",".join(wanted), "-o", _SACCT_FIELDS])
    except SlurmCommandError as problem:
        if "storage is disabled" in str(problem) or "not installed" in str(problem):
            raise AccountingDisabled(str(problem)) from problem
        raise
    found = {}
    for line in output.splitlines():
        fields = line.strip().split("|", 4)
        words = fields[1].split() if len(fields) == 5 else []  # "CANCELLED by 0": the first word is the state
        if not words or not _STATE.fullmatch(words[0].rstrip("+")):
            raise SlurmCommandError(f"cannot read the output of sacct: {line.strip()[:60]!r}")
        job_id, _, exit_code, nodes, name = fields
        if _JOB_ID.fullmatch(job_id):
            found[job_id] = SlurmJob(job_id, words[0].rstrip("+"), "", nodes, name, exit_code, source="sacct")
    return found


def query_jobs(job_ids: Collection[str]) -> SlurmAnswer:
    """Query squeue, and sacct for those of these jobs that squeue no longer lists. Never raises."""
    asked = time.time()
    try:
        jobs = squeue()
    except SlurmCommandError as problem:
        return SlurmAnswer(problem=str(problem), asked=asked)
    names = {job.name: job for job in jobs.values()}
    arrays = {job_id.partition("_")[0] for job_id in jobs}
    forgotten = [job_id for job_id in job_ids if job_id not in jobs and job_id not in arrays]
    incomplete = ""
    if forgotten:
        try:
            jobs = {**sacct(forgotten), **jobs}
        except AccountingDisabled:
            pass  # many clusters have none: the records of the jobs decide
        except SlurmCommandError as problem:
            incomplete = str(problem)
    return SlurmAnswer(jobs, names, incomplete=incomplete, asked=asked)


def is_installed() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None and shutil.which("sbatch") is not None
