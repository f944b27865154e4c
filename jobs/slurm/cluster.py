"""Queries of Slurm that only describe: nodes by partition, pending jobs in their order, use of running jobs.

No state depends on them. Each is one command with a short time limit; fields are requested one by one.
"""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from jobs.slurm.client import SlurmCommandError, run_command
from jobs.user import user_name

_TIMEOUT_S: Final = 5.0
_SINFO_FIELDS: Final = "%P|%a|%T|%D"
_SQUEUE_FIELDS: Final = "%i|%Q|%S|%P"
_SSTAT_FIELDS: Final = "JobID,NTasks,AveCPU,MaxRSS,TRESUsageInMax"
_STATE_SIGNS: Final = "*~#!%$@^-+"
"""Suffixes of node states: not responding, powered down, rebooting, and others."""
_BUSY: Final = frozenset({"allocated", "completing"})
_MIXED: Final = frozenset({"mixed"})
_IDLE: Final = frozenset({"idle"})
_UNITS: Final = {"": 2**-20, "K": 2**-10, "M": 1.0, "G": 2**10, "T": 2**20}
_UTILISATION: Final = re.compile(r"gres/gpuutil=([\d.]+)")


class PartitionNodes(NamedTuple):
    """How many nodes of a partition are in which state."""

    name: str
    is_up: bool
    idle: int
    mixed: int
    """Nodes with free and used cores."""
    allocated: int
    other: int
    """Down, drained, reserved or unknown."""

    @property
    def total(self) -> int:
        """Number of nodes."""
        return self.idle + self.mixed + self.allocated + self.other


class PendingJob(NamedTuple):
    """The place of a waiting job in the queue."""

    job_id: str
    priority: int
    start: str
    """Expected start as Slurm prints it, `2026-01-31T14:05:00`; empty while it has none."""
    partition: str


class StepUse(NamedTuple):
    """Use of the steps of a running job."""

    cpu_s: float
    """CPU seconds of all tasks."""
    memory_mb: float
    """Largest resident size of a task."""
    gpu_percent: float | None
    """Utilisation of the busiest task's GPUs; None without accounting of it."""


def partition_nodes() -> list[PartitionNodes]:
    """Return the partitions of this cluster with their nodes, in the order of sinfo.

    Raises:
        SlurmCommandError: sinfo failed or its output is unreadable.
    """
    found: dict[str, PartitionNodes] = {}
    for line in _lines(["sinfo", "-h", "-o", _SINFO_FIELDS]):
        fields = line.split("|")
        if len(fields) != 4 or not fields[3].isdigit():
            raise SlurmCommandError(f"cannot read the output of sinfo: {line[:60]!r}")
        name, available, state, number = (
            fields[0].rstrip("*"),
            fields[1],
            fields[2].rstrip(_STATE_SIGNS),
            int(fields[3]),
        )
        was = found.get(name, PartitionNodes(name, available == "up", 0, 0, 0, 0))
        field = "idle" if state in _IDLE else "mixed" if state in _MIXED else "allocated" if state in _BUSY else "other"
        found[name] = was._replace(**{field: getattr(was, field) + number})
    return list(found.values())


def pending_jobs() -> dict[str, PendingJob]:
    """Return this user's waiting jobs by id, with priority and expected start.

    Raises:
        SlurmCommandError: squeue failed or its output is unreadable.
    """
    found = {}
    for line in _lines(["squeue", "-h", "-r", "-u", user_name(), "-t", "PD", "-o", _SQUEUE_FIELDS]):
        fields = line.split("|")
        if len(fields) != 4 or not fields[1].isdigit():
            raise SlurmCommandError(f"cannot read the output of squeue: {line[:60]!r}")
        job_id, priority, start, partition = fields
        found[job_id] = PendingJob(job_id, int(priority), "" if start in ("N/A", "") else start, partition)
    return found


def step_use(job_ids: Collection[str]) -> dict[str, StepUse]:
    """Return what the steps of running jobs use, by job id; jobs of which Slurm samples nothing are left out.

    Raises:
        SlurmCommandError: sstat is missing or failed.
    """
    if not job_ids:
        return {}
    found: dict[str, StepUse] = {}
    for line in _lines(["sstat", "-n", "-a", "-P", "-j", ",".join(sorted(job_ids)), "-o", _SSTAT_FIELDS]):
        fields = line.split("|", 4)
        if len(fields) != 5 or not fields[1].isdigit():
            continue  # a step that has just begun has empty fields
        job_id = fields[0].partition(".")[0]
        was = found.get(job_id, StepUse(0.0, 0.0, None))
        gpu = _UTILISATION.search(fields[4])
        found[job_id] = StepUse(
            was.cpu_s + int(fields[1]) * cpu_seconds(fields[2]),
            max(was.memory_mb, _megabytes(fields[3])),
            max(was.gpu_percent or 0.0, float(gpu[1])) if gpu else was.gpu_percent,
        )
    # A cluster that samples nothing prints zeros, which are no measurement.
    return {job_id: use for job_id, use in found.items() if use.cpu_s or use.memory_mb}


def cpu_seconds(text: str) -> float:
    """Return the seconds of a time as Slurm prints it: `1-02:03:04`, `02:03:04.5`; 0 for anything else."""
    days, _, clock = text.rpartition("-")
    try:
        seconds = 0.0
        for part in clock.split(":"):
            seconds = 60 * seconds + float(part)
        return seconds + 86_400 * int(days or 0)
    except ValueError:
        return 0.0


def _megabytes(text: str) -> float:
    number = text.rstrip("KMGT")
    try:
        return float(number) * _UNITS.get(text[len(number) :], 0.0)
    except ValueError:
        return 0.0


def _lines(command: list[str]) -> list[str]:
    return [line.strip() for line in run_command(command, timeout_s=_TIMEOUT_S).splitlines() if line.strip()]
