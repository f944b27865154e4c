"""The processes that train one model together: collectives, sharding of rows, and who writes to the stage folder.

Batches, orders and decisions are equal in all processes; only rows, parameters and optimizer states are divided. The
trainers know the protocol `Ranks` only, never torch.distributed.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from pipelines.folder import StageFolder
from pipelines.records import Judgement, Metric, Rollout
from pipelines.streams import StreamWriter

Item = TypeVar("Item")


class Ranks(Protocol):
    """The processes of a stage. Every method but `rank` and `size` is a collective: all processes must call it."""

    rank: int
    size: int

    def shard(self, module: nn.Module) -> None:
        """Shard a module's parameters over the processes, in place, before its optimizer is built."""
        ...

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum of a CPU tensor over the processes."""
        ...

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """Return the items of all processes in the order they had before `shard_items`."""
        ...

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        ...

    def all_reduce_max(self, number: int) -> int:
        """Return the largest number over the processes."""
        ...

    def barrier(self) -> None:
        """Return when every process has called it."""
        ...


class SingleProcess:
    """A stage in one process: nothing is sharded and every collective returns its argument."""

    rank = 0
    size = 1

    def shard(self, module: nn.Module) -> None:
        """Do nothing."""

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """Return the items."""
        return list(items)

    def broadcast(self, value: Any) -> Any:
        """Return the value."""
        return value

    def all_reduce_max(self, number: int) -> int:
        """Return the number."""
        return number

    def barrier(self) -> None:
        """Return at once."""


def shard_items(items: Sequence[Item], ranks: Ranks, *, rank: int | None = None) -> list[Item]:
    """Return every `size`-th item: the share of this process, or of `rank`.

    Items sorted by length are spread evenly that way, since neighbours go to different processes.
    """
    return list(items[ranks.rank if rank is None else rank :: ranks.size])


def rank_folder(rank: int, folder: StageFolder) -> StageFolder:
    """Return the stage folder as process `rank` must use it: only the first process writes streams and progress."""
    return folder if rank == 0 else NonWritingFolder(folder.path)


class DiscardingStreamWriter(StreamWriter):
    """A stream writer that discards its records, for a stream that another process writes."""

    def _recall(self) -> None:
        """Skip reading what the stream holds."""

    def append(self, records: Iterable[Rollout | Metric | Judgement]) -> int:
        """Discard the records."""
        return 0


class NonWritingFolder(StageFolder):
    """A stage folder that is read as usual and discards streams and progress."""

    def stream(self, family: str, name: str) -> StreamWriter:
        """Return a writer that discards its records."""
        return DiscardingStreamWriter(self.path, family, name)

    def report(
        self, done: float, total: float, unit: str, message: str = "", values: dict[str, float] | None = None
    ) -> None:
        """Discard the progress."""
