"""Monitors CPU, memory, GPUs, output and out-of-memory kills of a stage, for heartbeats and exit records."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from jobs.attempts.gpu_use import GpuSampler, gpus_of, mean_percent
from jobs.attempts.records import stage_of

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_BUSY: Final = 0.02
"""CPU seconds per second above which a stage counts as active; a sleeping Python with threads stays below."""


class ResourceMonitor:
    """Tracks when a stage was last active: used CPU time, or wrote to its folder."""

    def __init__(self) -> None:
        self._sequence = 0
        self._cpu = 0.0
        self._sampled = time.monotonic()
        self._outputs: tuple[tuple[str, int], ...] = ()
        self._active = time.time()
        self._gpus = GpuSampler()

    def sample(self, pids: Iterable[int], attempt: Path) -> dict[str, Any]:
        """Return the content of `heartbeat.json`: times by this machine's clock, CPU seconds and resident MiB.

        With nvidia-ml-py also `gpu_percent` and `gpu_mb`, as of the heartbeat before.
        """
        members = list(pids)
        cpu, resident = _usage(members)
        outputs = _outputs(attempt)
        now = time.monotonic()
        elapsed = max(1e-3, now - self._sampled)
        if cpu - self._cpu > _BUSY * elapsed or outputs != self._outputs:
            self._active = time.time()
        self._cpu, self._outputs, self._sampled = cpu, outputs, now
        self._sequence += 1
        gpus = gpus_of(self._gpus.read(), members, os.environ.get("CUDA_VISIBLE_DEVICES"))
        percent = mean_percent(gpus)
        gpu = {} if percent is None else {"gpu_percent": percent, "gpu_mb": round(sum(one.used_mb for one in gpus), 1)}
        return {
            "v": 1,
            "sequence": self._sequence,
            "time": time.time(),
            "active": self._active,
            "cpu_s": round(cpu, 2),
            "resident_mb": round(resident / 2**20, 1),
            **gpu,
        }


def _usage(pids: Iterable[int]) -> tuple[float, int]:
    """Return CPU seconds and resident bytes of the living processes among these."""
    ticks = pages = 0
    for pid in pids:
        try:
            raw = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        fields = raw[raw.rindex(b")") + 2 :].split()
        ticks += sum(int(field) for field in fields[11:15])  # user and system, own and reaped children
        pages += int(fields[21])
    return ticks / _TICKS, pages * _PAGE


def _outputs(attempt: Path) -> tuple[tuple[str, int], ...]:
    """Return names and states of the files that the stage writes: its logs, and the files of the stage folder."""
    found = []
    for folder in (attempt, stage_of(attempt)):
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith((".log", ".jsonl")) or entry.name == "progress.json":
                try:
                    status = entry.stat()
                except OSError:
                    continue
                found.append((entry.path, status.st_size ^ status.st_mtime_ns))
    return tuple(sorted(found))


def oom_kills() -> int:
    """Return the number of out-of-memory kills in this process's control group; 0 if the kernel does not report it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    total = 0
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            counter = Path(f"/sys/fs/cgroup{path}/memory.events")
        elif controllers == "memory":
            counter = Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        else:
            continue
        try:
            words = counter.read_text(encoding="ascii").split()
        except OSError:
            continue
        if "oom_kill" in words:
            total += int(words[words.index("oom_kill") + 1])
    return total
