"""What this machine has for local jobs, CPU cores and GPUs, and which of it is free."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.attempts.tickets import Placement, Ticket

CPUS_VARIABLE: Final = "COGTUI_LOCAL_CPUS"
GPUS_VARIABLE: Final = "COGTUI_LOCAL_GPUS"
_NVIDIA: Final = Path("/proc/driver/nvidia/gpus")
_TIMEOUT_S: Final = 10.0


def cpu_count(environment: Mapping[str, str] = os.environ) -> int:
    """Cores that local jobs may use together: COGTUI_LOCAL_CPUS, or the cores this process may run on."""
    given = environment.get(CPUS_VARIABLE, "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


def gpu_names(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """GPUs that local jobs may use, as CUDA_VISIBLE_DEVICES takes them.

    COGTUI_LOCAL_GPUS, or what CUDA_VISIBLE_DEVICES leaves visible, or all that the NVIDIA driver shows.
    """
    for variable in (GPUS_VARIABLE, "CUDA_VISIBLE_DEVICES"):
        if variable in environment:
            names = (name.strip() for name in environment[variable].split(","))
            return tuple(name for name in names if name and name != "-1")
    if _NVIDIA.is_dir():
        return tuple(str(index) for index, _ in enumerate(_NVIDIA.iterdir()))
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return tuple(str(index) for index in range(count))


@dataclass(frozen=True, slots=True)
class Machine:
    """Slots of a machine."""

    cpus: int
    gpus: tuple[str, ...]

    @classmethod
    def here(cls) -> "Machine":
        """This machine, as the environment limits it."""
        return cls(cpu_count(), gpu_names())


class Slots:
    """What is free beside the jobs that run. A job that asks for more cores than there are gets them all."""

    def __init__(self, machine: Machine, running: Iterable[Placement]) -> None:
        self._machine = machine
        taken = list(running)
        self.cpus = machine.cpus - sum(placed.cpus for placed in taken)
        used = {name for placed in taken for name in placed.gpus}
        self.gpus = [name for name in machine.gpus if name not in used]
        self._held_cpus = False
        self._held_gpus = False

    def take(self, ticket: Ticket) -> tuple[int, tuple[str, ...]] | str:
        """Cores and GPUs for a job, or what it waits for.

        Jobs are served in order: once one did not fit, later ones do not take what it waits for.
        """
        cpus = min(ticket.cpus, self._machine.cpus)
        if ticket.gpus > len(self._machine.gpus):
            return f"asks for {ticket.gpus} GPUs, this machine has {len(self._machine.gpus)}"
        if ticket.gpus and (self._held_gpus or ticket.gpus > len(self.gpus)):
            self._held_gpus = True
            return f"waits for {_amount(ticket.gpus, 'free GPU')}"
        if self._held_cpus or cpus > self.cpus:
            self._held_cpus = True
            return f"waits for {_amount(cpus, 'free CPU core')}"
        self.cpus -= cpus
        names, self.gpus = tuple(self.gpus[: ticket.gpus]), self.gpus[ticket.gpus :]
        return cpus, names


def _amount(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number > 1 else ''}"
