"""Several processes under torchrun: parameters, gradients and optimizer states sharded by torch's FSDP2.

Each process holds its shard of every parameter in float32. Decoder layers are gathered one by one during a pass, in
the number type of the computation; gradients are averaged over the processes in float32.
"""

import ctypes
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from pipelines.training.core.runtime import Runtime, world_size
from pipelines.training.core.transformers_compat import decoder_layers
from pipelines.training.rl.ranks import Ranks, SingleProcess

COLLECTIVE_TIMEOUT: Final = timedelta(minutes=60)
"""The time that a collective waits for other processes. A failed process is noticed at once: torchrun ends the rest."""
_PR_SET_PDEATHSIG: Final = 1


class TorchrunProcesses:
    """The processes that torchrun started, each with a shard of every sharded module."""

    def __init__(self, runtime: Runtime) -> None:
        if not dist.is_initialized():
            _end_with_launcher()
            on_gpu = runtime.device.type == "cuda"
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=COLLECTIVE_TIMEOUT)
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self._mesh = init_device_mesh(runtime.device.type, (self.size,))
        compute = None if runtime.compute == torch.float32 else runtime.compute
        self._precision = MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32)

    def shard(self, module: nn.Module) -> None:
        """Shard each decoder layer by itself, and the rest (embeddings, norm, head) together."""
        for block in decoder_layers(module):
            fully_shard(block, mesh=self._mesh, mp_policy=self._precision)
        fully_shard(module, mesh=self._mesh, mp_policy=self._precision)

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum of a CPU tensor over the processes."""
        found = values.clone()
        dist.all_reduce(found)
        return found

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """Return the items of all processes in the order they had before `shard_items`."""
        shares: list[list[Any]] = [[] for _ in range(self.size)]
        dist.all_gather_object(shares, list(items))
        n = sum(map(len, shares))
        return [shares[index % self.size][index // self.size] for index in range(n)]

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        box = [value if self.rank == 0 else None]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def all_reduce_max(self, number: int) -> int:
        """Return the largest number over the processes."""
        found = torch.tensor(number)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def barrier(self) -> None:
        """Return when every process has called it."""
        self.all_reduce_max(0)


def connect_ranks(runtime: Runtime) -> Ranks:
    """Connect to the processes of this stage: those of torchrun, or this one alone."""
    return TorchrunProcesses(runtime) if world_size() > 1 else SingleProcess()


def _end_with_launcher() -> None:
    """Make the kernel kill this process when torchrun dies, which would otherwise hold its GPU until the timeout."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
