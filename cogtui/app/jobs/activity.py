"""What the jobs screen shows beside states: the queue's order, use of running stages, machines and partitions."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from jobs.attempts.tickets import LocalQueue
from jobs.local.slots import cpu_count
from jobs.slurm.client import SlurmCommandError
from jobs.slurm.cluster import PartitionNodes, PendingJob, StepUse, partition_nodes, pending_jobs, step_use
from jobs.state.durations import mean_seconds
from jobs.state.queue_order import QueuePlace, queue_order
from jobs.state.types import StageState
from jobs.state.usage import ResourceUse, UsageReader
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError

A = TypeVar("A")

_CLUSTER_EVERY_S: Final = 20.0
"""Between two queries of Slurm for what is only shown; a busy controller is not asked more often for that."""
_INPUTS_S: Final = 0.1
"""Seconds that one reading may spend on the inputs of queued stages, each read once."""


class GpuLoad(NamedTuple):
    """A GPU of this machine."""

    number: int
    percent: float
    used_mb: float
    total_mb: float


class MachineLoad(NamedTuple):
    """This machine: what local jobs of the workspace have, and what is in use altogether."""

    cores: int
    taken: int
    """Cores that the agent gave to running jobs."""
    memory_mb: float
    memory_used_mb: float
    gpus: tuple[GpuLoad, ...] = ()


@dataclass(frozen=True, slots=True)
class JobsActivity:
    """One reading."""

    places: Mapping[str, QueuePlace] = field(default_factory=dict)
    """By stage key, in the order in which the stages run."""
    use: Mapping[str, ResourceUse] = field(default_factory=dict)
    """Of running stages, by key."""
    starts: Mapping[str, str] = field(default_factory=dict)
    """When Slurm expects to start a waiting stage, by key."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a finished stage of each kind took."""
    machine: MachineLoad | None = None
    partitions: tuple[PartitionNodes, ...] = ()
    problem: str = ""
    """Why Slurm says nothing; empty where no stage was submitted to it."""


class ClusterAnswer(NamedTuple):
    """What Slurm said last."""

    partitions: tuple[PartitionNodes, ...] = ()
    pending: Mapping[str, PendingJob] = {}
    steps: Mapping[str, StepUse] = {}
    problem: str = ""


class PeriodicQuery(Generic[A]):
    """A slow query that a thread repeats at intervals, one at a time; the caller reads the latest result."""

    def __init__(self, ask: Callable[[], A], first: A, every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._thread: threading.Thread | None = None
        self._asked = float("-inf")
        self.answer = first
        """The latest."""

    def poll(self) -> A:
        """Ask again if it is time and the question before was answered; return the latest answer."""
        if time.monotonic() - self._asked >= self._every_s and not self.is_asking:
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._run, name="cogtui-cluster", daemon=True)
            self._thread.start()
        return self.answer

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        self.answer = self._ask()


class ActivityReader:
    """Reads again and again, in a background thread; never waits for Slurm or for a GPU driver."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._usage = UsageReader()
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._running_jobs: frozenset[str] = frozenset()
        self._has_slurm = shutil.which("squeue") is not None
        self._cluster = PeriodicQuery(self._ask_cluster, ClusterAnswer(), _CLUSTER_EVERY_S)

    def read(self, states: Mapping[str, StageState]) -> JobsActivity:
        """Return what is known now beside the states."""
        tickets = [queued.ticket for queued in LocalQueue(self._workspace).tickets()]
        self._running_jobs = frozenset(
            state.attempts[-1].job_id or ""
            for state in states.values()
            if state.state in ("running", "resuming") and state.attempts and state.attempts[-1].cluster == "slurm"
        ) - {""}
        said = self._cluster.poll() if self._has_slurm else ClusterAnswer()
        priorities = {job_id: job.priority for job_id, job in said.pending.items()}
        inputs = self._read_inputs(state.key for state in states.values() if state.state == "queued")
        places = queue_order(states, inputs, [ticket.key for ticket in tickets if ticket.placed is None], priorities)
        jobs = {key: states[key].attempts[-1].job_id or "" for key in places if states[key].attempts}
        starts = {key: said.pending[job].start for key, job in jobs.items() if job in said.pending}
        taken = sum(ticket.placed.cpus for ticket in tickets if ticket.placed is not None)
        use = self._usage.read(states.values(), said.steps)
        return JobsActivity(
            places,
            use,
            {key: start for key, start in starts.items() if start},
            mean_seconds(states.values()),
            self._read_machine(taken),
            said.partitions,
            said.problem if any(one.cluster == "slurm" for s in states.values() for one in s.attempts[-1:]) else "",
        )

    def _read_inputs(self, keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the inputs of stages, as far as they could be read in time."""
        deadline = time.monotonic() + _INPUTS_S
        for key in keys:
            if key not in self._inputs:
                try:
                    self._inputs[key] = self._workspace.folder(key).info().inputs
                except (CogtuiError, OSError):
                    self._inputs[key] = ()
                if time.monotonic() > deadline:
                    break
        return self._inputs

    def _read_machine(self, taken: int) -> MachineLoad:
        import psutil  # type: ignore[import-untyped]  # brings no type information

        memory = psutil.virtual_memory()
        gpus = tuple(GpuLoad(gpu.number, gpu.percent, gpu.used_mb, gpu.total_mb) for gpu in self._usage.gpus.latest)
        return MachineLoad(
            cpu_count(),
            taken,
            memory.total / 2**20,
            (memory.total - memory.available) / 2**20,
            gpus,
        )

    def _ask_cluster(self) -> ClusterAnswer:
        """Ask Slurm with three commands at most."""
        try:
            partitions, pending = tuple(partition_nodes()), pending_jobs()
        except (SlurmCommandError, OSError) as error:
            return ClusterAnswer(problem=str(error))
        steps: dict[str, StepUse] = {}
        if self._running_jobs:
            # Many clusters sample nothing; heartbeats say most of it.
            with contextlib.suppress(SlurmCommandError, OSError):
                steps = step_use(self._running_jobs)
        return ClusterAnswer(partitions, pending, steps)
