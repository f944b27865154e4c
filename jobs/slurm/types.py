"""Jobs and answers of Slurm, without the commands that query them."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

UNDER_WAY: Final = frozenset({"PENDING", "RUNNING", "CONFIGURING", "SUSPENDED", "COMPLETING"})
"""States of jobs that have not ended."""


class SlurmPartition(NamedTuple):
    """A partition as sinfo shows it."""

    name: str
    is_default: bool
    is_up: bool
    time_limit: str
    """`infinite`, or as D-HH:MM:SS."""
    nodes: str
    """Nodes allocated, idle, other and in all: `2/5/1/8`."""
    gres: str
    """Generic resources of a node, e.g. `gpu:h200:8`; `(null)` without."""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job as the scheduler knows it."""

    job_id: str
    state: str
    """First word of its state, e.g. `PENDING`, `CANCELLED`."""
    reason: str = ""
    """Why the job waits, or empty."""
    nodes: str = ""
    name: str = ""
    exit_code: str = ""
    """`code:signal`, from accounting only."""
    source: str = "squeue"


@dataclass(frozen=True, slots=True)
class SlurmAnswer:
    """The result of one query of the scheduler."""

    jobs: dict[str, SlurmJob] = field(default_factory=dict)
    names: dict[str, SlurmJob] = field(default_factory=dict)
    """By job name, which is unique."""
    problem: str = ""
    """Why the scheduler could not be queried; a job missing here may then exist."""
    incomplete: str = ""
    """Why accounting could not be queried; ended jobs may then be missing here."""
    asked: float = 0.0
    """When it was queried, seconds since the epoch."""

    def find(self, job_id: str | None, name: str) -> SlurmJob | None:
        """Return a job by id, or by its unique name if it has no id."""
        return self.jobs.get(job_id) if job_id is not None else self.names.get(name)

    def under_way(self, key: str, place: str) -> SlurmJob | None:
        """Return a job of a stage that has not ended, found by its name."""
        for name, job in self.names.items():
            if name.startswith(f"{key}.") and name.endswith(f".{place}") and job.state in UNDER_WAY:
                return job
        return None
