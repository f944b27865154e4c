"""What running stages use: CPU, memory, GPUs. Shown on screens; no state depends on it.

In this order: the processes themselves where they run on this machine, the worker's heartbeats, and `sstat` for what
those do not say.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobs.attempts.gpu_use import GpuSampler, GpuUse, gpus_of, mean_percent
from jobs.attempts.processes import belongs_to_attempt, descendants, host_name
from jobs.attempts.records import HEARTBEAT
from jobs.slurm.cluster import StepUse
from jobs.state.types import AttemptState, StageState
from pipelines.files import open_regular

_MOST_STAGES: Final = 64
"""Running stages that are looked at in one reading; a look at the processes of one takes about 2 ms."""
_SHORTEST_S: Final = 0.5
"""Shortest interval over which a share of CPU is computed."""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What a stage uses now."""

    cpu_percent: float | None = None
    """Of one core: 200 means two cores."""
    memory_mb: float | None = None
    gpu_percent: float | None = None
    """Mean over its GPUs; None where it has none or nothing measures them."""
    gpu_mb: float | None = None
    source: str = ""
    """What measured it: `processes`, `heartbeat`, `sstat`."""


class _CpuSample(NamedTuple):
    seconds: float
    """CPU seconds used so far."""
    time: float
    percent: float | None


class UsageReader:
    """Reads the use of running stages again and again; shares of CPU are between two readings. Not thread-safe."""

    def __init__(self) -> None:
        self.gpus = GpuSampler()
        self._samples: dict[str, _CpuSample] = {}

    def read(self, states: Iterable[StageState], steps: Mapping[str, StepUse] | None = None) -> dict[str, ResourceUse]:
        """Return the use of each running stage of which something is known, by key.

        Args:
            states: of any stages.
            steps: answer of sstat, by job id.
        """
        running = [state for state in states if state.state in ("running", "resuming") and state.attempts]
        gpus = self.gpus.read()
        found = {}
        for state in running[:_MOST_STAGES]:
            attempt = state.attempts[-1]
            use = self._of_processes(state.key, attempt, gpus) or self._of_heartbeat(state.key, attempt)
            use = self._with_step(state.key, use, (steps or {}).get(attempt.job_id or ""))
            if use is not None:
                found[state.key] = use
        self._samples = {name: one for name, one in self._samples.items() if name.rpartition(" ")[0] in found}
        return found

    def _of_processes(self, key: str, attempt: AttemptState, gpus: list[GpuUse]) -> ResourceUse | None:
        if (
            attempt.pid is None
            or attempt.host != host_name()
            or not belongs_to_attempt(attempt.pid, Path(attempt.path))
        ):
            return None
        import psutil  # type: ignore[import-untyped]  # brings no type information

        cpu = memory = 0.0
        pids = [attempt.pid, *descendants(attempt.pid)]
        for pid in pids:
            try:
                process = psutil.Process(pid)
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                memory += process.memory_info().rss
            except psutil.Error:
                continue  # it has just ended
        mine = gpus_of(gpus, pids, _visible_gpus(attempt.pid))
        return ResourceUse(
            self._percent(f"{key} processes", cpu, time.monotonic()),
            memory / 2**20,
            mean_percent(mine),
            sum(gpu.used_mb for gpu in mine) if mine else None,
            "processes",
        )

    def _of_heartbeat(self, key: str, attempt: AttemptState) -> ResourceUse | None:
        beat = _read_heartbeat(Path(attempt.path) / HEARTBEAT)
        cpu, moment = _number(beat, "cpu_s"), _number(beat, "time")
        if cpu is None or moment is None:
            return None
        percent = self._percent(f"{key} heartbeat", cpu, moment)
        if percent is None and attempt.runs and moment > attempt.runs[-1].started:
            percent = 100 * cpu / (moment - attempt.runs[-1].started)  # the mean since the start, until the next one
        return ResourceUse(
            percent, _number(beat, "resident_mb"), _number(beat, "gpu_percent"), _number(beat, "gpu_mb"), "heartbeat"
        )

    def _with_step(self, key: str, use: ResourceUse | None, step: StepUse | None) -> ResourceUse | None:
        if step is None:
            return use
        if use is None:
            percent = self._percent(f"{key} sstat", step.cpu_s, time.monotonic())
            return ResourceUse(percent, step.memory_mb, step.gpu_percent, None, "sstat")
        return use if use.gpu_percent is not None else replace(use, gpu_percent=step.gpu_percent)

    def _percent(self, name: str, seconds: float, moment: float) -> float | None:
        """Return the share of CPU since the sample before, which stays the same until a newer sample is there."""
        was = self._samples.get(name)
        if was is None or seconds < was.seconds:
            self._samples[name] = _CpuSample(seconds, moment, None)
            return None
        if moment - was.time < _SHORTEST_S:
            return was.percent
        percent = 100 * (seconds - was.seconds) / (moment - was.time)
        self._samples[name] = _CpuSample(seconds, moment, percent)
        return percent


def _visible_gpus(pid: int) -> str | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(b"CUDA_VISIBLE_DEVICES="):
            return entry.partition(b"=")[2].decode("utf-8", "replace")
    return None


def _read_heartbeat(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as stream:
            found = json.loads(stream.read(1 << 16))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(beat: Mapping[str, Any], name: str) -> float | None:
    value = beat.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
