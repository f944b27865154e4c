"""What Slurm says: one squeue, at most one sacct, for any number of jobs (docs/jobs.md).

Fields are asked for one by one in the spelling that old and new versions share; no JSON, no --me. An
answer that cannot be read is a problem to report, never an empty queue.
"""

import contextlib
import getpass
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable
from typing import Final

from jobs.slurm.types import SlurmAnswer, SlurmJob

TIMEOUT_S: Final = 10.0
_JOB_ID: Final = re.compile(r"\d+(_\d+)?")
_STATE: Final = re.compile(r"[A-Z_]+")
_SQUEUE_FIELDS: Final = "%i|%T|%r|%N|%j"
_SACCT_FIELDS: Final = "JobID,State,ExitCode,NodeList,JobName"
_SACCT_IDS: Final = 1000
"""Ids a call; the rest waits for the next tick."""


class SlurmCommandError(Exception):
    """A scheduler command is missing, hangs, fails, or prints what cannot be read."""


class SlurmRefusal(SlurmCommandError):
    """The command answered, and said no."""


class AccountingDisabled(SlurmCommandError):
    """This cluster keeps no accounting."""


def run_command(arguments: list[str], *, timeout_s: float | None = None) -> str:
    """Runs a scheduler command; returns its output.

    Args:
        arguments: the command line.
        timeout_s: patience in seconds; 10 by default.

    Raises:
        CommandProblem: says what was wrong, in one line; `SlurmRefusal` where Slurm itself said no.
    """
    name = arguments[0]
    patience = TIMEOUT_S if timeout_s is None else timeout_s
    # users' display preferences must not change what we parse
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
            child.communicate(timeout=1.0)  # if it is stuck in the kernel, nothing more can be done about it
        raise SlurmCommandError(f"{name} did not answer within {patience:g} s") from None
    if child.returncode != 0:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        text = f"{name} failed: {said[-1] if said else f'exit code {child.returncode}'}"
        # after a time-out within Slurm the wish may have been granted all the same
        raise SlurmCommandError(text) if "timed out" in text else SlurmRefusal(text)
    return output.decode("utf-8", "replace")


def squeue() -> dict[str, SlurmJob]:
    """All jobs of this user that the controller still knows, those ended a few minutes ago included, by id.

    Raises:
        CommandProblem: it could not be asked, or its answer not be read.
    """
    output = run_command(["squeue", "-h", "-r", "-u", getpass.getuser(), "-t", "all", "-o", _SQUEUE_FIELDS])
    found = {}
    for line in output.splitlines():
        fields = line.strip().split("|", 4)
        if len(fields) != 5 or not _JOB_ID.fullmatch(fields[0]) or not _STATE.fullmatch(fields[1]):
            raise SlurmCommandError(f"squeue printed what cannot be read: {line.strip()[:60]!r}")
        reason = "" if fields[2] in ("None", "(null)") else fields[2]
        found[fields[0]] = SlurmJob(fields[0], fields[1], reason, fields[3], fields[4])
    return found


def sacct(job_ids: Iterable[str]) -> dict[str, SlurmJob]:
    """What accounting knows of these jobs, by id.

    Raises:
        NoAccounting: this cluster has none. CommandProblem: it could not be asked, or its answer not be read.
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
            raise SlurmCommandError(f"sacct printed what cannot be read: {line.strip()[:60]!r}")
        if _JOB_ID.fullmatch(fields[0]):
            found[fields[0]] = SlurmJob(
                fields[0], words[0].rstrip("+"), "", fields[3], fields[4], fields[2], source="sacct"
            )
    return found


def query_jobs(job_ids: Collection[str]) -> SlurmAnswer:
    """Asks squeue, and sacct for those of these jobs that squeue has forgotten. Never raises."""
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
            pass  # many clusters have none: the jobs' own records tell
        except SlurmCommandError as problem:
            incomplete = str(problem)
    return SlurmAnswer(jobs, names, incomplete=incomplete, asked=asked)


def is_installed() -> bool:
    """Whether this machine has Slurm's commands."""
    return shutil.which("squeue") is not None and shutil.which("sbatch") is not None
