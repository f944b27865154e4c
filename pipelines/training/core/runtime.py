"""Where and how a training stage computes: threads, device, number type, seeds, memory errors."""

import contextlib
import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from pipelines.training.core.configs import TrainingConfig


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and number type of a stage. Weights are float32; `compute` is the type of the matrix products."""

    device: torch.device
    compute: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Context for forward passes."""
        if self.compute == torch.float32:
            return contextlib.nullcontext()
        context: AbstractContextManager[object] = torch.autocast(self.device.type, dtype=self.compute)
        return context

    def describe(self) -> dict[str, str | int]:
        """For a stage's result: what it really ran on."""
        return {
            "device": str(self.device),
            "dtype": str(self.compute).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def world_size() -> int:
    """How many processes torchrun started for this stage; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(config: TrainingConfig, *, many: bool = False, advice: str = "") -> Runtime:
    """Sets threads and seeds and chooses the device.

    Args:
        many: whether this stage may run in several processes, one a GPU.
        advice: what else could be done where it may not.

    Raises:
        InvalidInput: several processes were started for a stage that runs in one.
        MissingRequirement: a GPU is asked for and there is none, or there are fewer than processes.
    """
    if world_size() > 1 and not many:
        # Each would write the same streams.
        raise InvalidInput(
            f"this stage runs in one process, but {world_size()} were started for it",
            remedy=f"Set processes and nodes to 1 in the stage's resources{advice}.",
        )
    torch.set_num_threads(config.threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement(
            "device is cuda but torch sees no GPU here", remedy="Set device to auto or cpu, or run it on a GPU node."
        )
    name = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    compute = {
        "auto": torch.bfloat16 if name == "cuda" else torch.float32,
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
    }[config.dtype]
    seed_everything(config.seed)
    silence_libraries()
    return Runtime(_own_device(name), compute)


def _own_device(name: str) -> torch.device:
    """The device of this process: a GPU of its own where torchrun started several."""
    if name == "cpu" or world_size() == 1:
        return torch.device(name)
    index, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= here:
        raise MissingRequirement(
            f"process {index} of this node has no GPU: torch sees {here} here",
            remedy="Set processes in the stage's resources to its number of gpus.",
        )
    torch.cuda.set_device(index)
    return torch.device(name, index)


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def silence_libraries() -> None:
    """Keeps libraries' progress bars and advice out of a job's log; warnings and errors stay."""
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.disable_progress_bar()


@contextlib.contextmanager
def memory_guard(what: str, remedy: str) -> Iterator[None]:
    """Turns running out of memory into an error that names the batch.

    Raises:
        StageFailed: memory ran out inside; the last checkpoint is untouched.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise StageFailed(
            f"out of memory: {what}",
            detail=f"{str(error).splitlines()[0] if str(error) else type(error).__name__}\n"
            "The last checkpoint is whole; the stage continues from it.",
            remedy=remedy,
        ) from error


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text
