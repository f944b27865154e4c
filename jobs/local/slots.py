"""CPU cores and GPUs of this machine for local jobs, and which of them are free."""

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
    """Return the number of cores for all local jobs: COGTUI_LOCAL_CPUS, or the cores this process may run on."""
    given = environment.get(CPUS_VARIABLE, "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


def gpu_names(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the GPUs that local jobs may use, as names for CUDA_VISIBLE_DEVICES.

    COGTUI_LOCAL_GPUS, else CUDA_VISIBLE_DEVICES, else all GPUs of the NVIDIA driver.
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
    """The free cores and GPUs. A job that asks for more cores than the machine has gets all of them."""

    def __init__(self, machine: Machine, running: Iterable[Placement]) -> None:
        self._machine = machine
        taken = list(running)
        self.cpus = machine.cpus - sum(placed.cpus for placed in taken)
        used = {name for placed in taken for name in placed.gpus}
        self.gpus = [name for name in machine.gpus if name not in used]
        self._held_cpus = False
        self._held_gpus = False

    def take(self, ticket: Ticket) -> tuple[int, tuple[str, ...]] | str:
        """Return cores and GPUs for a job, or the reason why it waits.

        Jobs are served in order: later jobs do not take resources that an earlier one waits for.
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
