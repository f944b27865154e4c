"""Set-up of a training process: threads, device, number type, seeds, errors of running out of memory."""

import contextlib
import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from pipelines.stages.settings import retry_with
from pipelines.training.core.configs import TrainingConfig


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device and number type of a stage. Weights are float32; `compute` is the type of matrix products (autocast)."""

    device: torch.device
    compute: torch.dtype

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context for forward passes."""
        if self.compute == torch.float32:
            return contextlib.nullcontext()
        context: AbstractContextManager[object] = torch.autocast(self.device.type, dtype=self.compute)
        return context

    def describe(self) -> dict[str, str | int]:
        """Return device, number type, threads and torch version, for the stage's result."""
        return {
            "device": str(self.device),
            "dtype": str(self.compute).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }


def world_size() -> int:
    """Return how many processes torchrun started for this stage; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(config: TrainingConfig, *, many: bool = False, advice: str = "") -> Runtime:
    """Set threads and seeds and choose the device.

    Args:
        config: of the stage.
        many: whether this stage supports several processes, one per GPU.
        advice: an alternative for the remedy if it does not.

    Raises:
        InvalidInput: several processes were started for a stage that supports one.
        MissingRequirement: a GPU is required and none is visible, or fewer than processes.
    """
    if world_size() > 1 and not many:
        # Each process would write the same streams.
        raise InvalidInput(
            f"this stage runs in one process, but {world_size()} were started for it",
            remedy=f"Set processes and nodes to 1 in the stage's resources{advice}.",
        )
    torch.set_num_threads(config.threads)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement(
            "device is cuda but torch sees no GPU", remedy="Set device to auto or cpu, or run the stage on a GPU node."
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
    """Return this process's device; each process of torchrun has a GPU of its own."""
    if name == "cpu" or world_size() == 1:
        return torch.device(name)
    index, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= here:
        raise MissingRequirement(
            f"process {index} of this node has no GPU: torch sees {here} here",
            remedy="Set processes in the stage's resources to the number of GPUs.",
        )
    torch.cuda.set_device(index)
    return torch.device(name, index)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch on all devices."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def silence_libraries() -> None:
    """Keep progress bars and hints of transformers out of a job's log; warnings and errors stay."""
    from transformers.utils import logging

    logging.set_verbosity_warning()
    logging.disable_progress_bar()


def less_memory(micro_batch: int, *, recompute: bool) -> str:
    """Return the remedy that continues this stage from its checkpoint with less memory and the same results.

    Args:
        micro_batch: a smaller one that the config allows; 0 where there is none.
        recompute: whether activations are recomputed already, or the stage cannot.

    Returns:
        A sentence with the command; empty if neither is left.
    """
    smaller = f"micro_batch={micro_batch}"
    if not recompute:
        further = f" If that is not enough, add --set {smaller}." if micro_batch else ""
        return f"It continues with less memory by: {retry_with(recompute=True)}.{further}"
    return f"It continues with less memory by: {retry_with(micro_batch=micro_batch)}." if micro_batch else ""


def smaller_divisor(batch: int, micro_batch: int) -> int:
    """Return the largest divisor of a batch that is at most half a micro-batch; 0 if there is none."""
    return next((size for size in range(micro_batch // 2, 0, -1) if batch % size == 0), 0)


@contextlib.contextmanager
def memory_guard(what: str, remedy: str) -> Iterator[None]:
    """Turn running out of memory into an error that names the batch and a remedy.

    Args:
        what: what was computed.
        remedy: which setting needs less memory.

    Raises:
        StageFailed: memory ran out inside the context; the last checkpoint is untouched.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise StageFailed(
            f"out of memory: {what}",
            detail=f"{str(error).splitlines()[0] if str(error) else type(error).__name__}\n"
            "The last checkpoint is intact; the stage continues from it.",
            remedy=remedy,
        ) from error


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "not enough memory" in text
