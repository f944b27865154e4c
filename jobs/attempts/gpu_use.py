"""Use of NVIDIA GPUs of this machine, with nvidia-ml-py where it is installed; nothing else is known of GPUs."""

import importlib.util
import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple


class GpuUse(NamedTuple):
    """One GPU at one moment."""

    number: int
    """As CUDA_VISIBLE_DEVICES counts."""
    uuid: str
    percent: float
    """Share of the last second in which a kernel ran."""
    used_mb: float
    total_mb: float
    pids: frozenset[int]
    """Processes with a context on it; ids of the machine, not of a container."""


class GpuSampler:
    """Reads the GPUs in a thread of its own, because a call to a broken driver can hang for ever."""

    def __init__(self) -> None:
        self._is_possible = importlib.util.find_spec("pynvml") is not None
        self._thread: threading.Thread | None = None
        self.latest: list[GpuUse] = []
        """The latest reading."""

    def read(self) -> list[GpuUse]:
        """Return the latest reading, and begin the next one unless one is under way. The first call returns nothing."""
        latest = self.latest
        if self._is_possible and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._sample, name="cogtui-gpus", daemon=True)
            self._thread.start()
        return latest

    def wait(self, seconds: float) -> None:
        """Wait for the reading that is under way."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _sample(self) -> None:
        try:
            self.latest = _read_gpus()
        except Exception:  # of any kind that the driver's library raises: use is shown, nothing depends on it
            self.latest = []
            self._is_possible = False


def _read_gpus() -> list[GpuUse]:
    import pynvml

    pynvml.nvmlInit()  # counts; a second call costs nothing
    return [_read_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]


def _read_gpu(nvml: Any, index: int) -> GpuUse:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    uuid = nvml.nvmlDeviceGetUUID(handle)
    try:
        percent = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        percent = 0.0  # a GPU in slices (MIG) has no utilisation as a whole
    return GpuUse(
        index,
        uuid.decode() if isinstance(uuid, bytes) else str(uuid),
        percent,
        memory.used / 2**20,
        memory.total / 2**20,
        frozenset(int(one.pid) for one in nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
    )


def gpus_of(gpus: Sequence[GpuUse], pids: Collection[int], visible: str | None) -> list[GpuUse]:
    """Return the GPUs of some processes: those they have a context on, else those that were visible to them.

    Args:
        gpus: of this machine.
        pids: of the processes.
        visible: their CUDA_VISIBLE_DEVICES, used where the driver shows other pids than this container has.
    """
    mine = [gpu for gpu in gpus if gpu.pids.intersection(pids)]
    if mine or not visible:
        return mine
    names = {name.strip() for name in visible.split(",")}
    return [gpu for gpu in gpus if str(gpu.number) in names or any(gpu.uuid.startswith(n) for n in names if len(n) > 8)]


def mean_percent(gpus: Iterable[GpuUse]) -> float | None:
    """Return the mean utilisation; None without GPUs."""
    values = [gpu.percent for gpu in gpus]
    return sum(values) / len(values) if values else None
