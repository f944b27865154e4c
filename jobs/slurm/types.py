"""What Slurm said: jobs and answers, apart from the commands that get them."""

from dataclasses import dataclass, field
from typing import Final

UNDER_WAY: Final = frozenset({"PENDING", "RUNNING", "CONFIGURING", "SUSPENDED", "COMPLETING"})
"""States of jobs that are not over."""


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A job as the scheduler knows it."""

    job_id: str
    state: str
    """First word of its state, e.g. `PENDING`, `CANCELLED`."""
    reason: str = ""
    """Why it waits, or empty."""
    nodes: str = ""
    name: str = ""
    exit_code: str = ""
    """`code:signal`, from accounting only."""
    source: str = "squeue"


@dataclass(frozen=True, slots=True)
class SlurmAnswer:
    """One look at the scheduler."""

    jobs: dict[str, SlurmJob] = field(default_factory=dict)
    names: dict[str, SlurmJob] = field(default_factory=dict)
    """By name; a job that was started again under the same name does not occur."""
    problem: str = ""
    """Why the scheduler could not be asked; then a job that is missing here may still be there."""
    incomplete: str = ""
    """Why accounting could not be asked although there may be some: ended jobs may be missing here."""
    asked: float = 0.0
    """When, seconds since the epoch."""

    def find(self, job_id: str | None, name: str) -> SlurmJob | None:
        """A job by id, or by its unique name where no id came back."""
        return self.jobs.get(job_id) if job_id is not None else self.names.get(name)

    def under_way(self, key: str, place: str) -> SlurmJob | None:
        """A job of a stage that is not over, found by its name alone."""
        for name, job in self.names.items():
            if name.startswith(f"{key}.") and name.endswith(f".{place}") and job.state in UNDER_WAY:
                return job
        return None
