"""The seam between PPO and many processes: who computes which rows, and what they tell each other.

Batches, orders and decisions are the same in every process; only rows, parameters and optimizer states are divided.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

Item = TypeVar("Item")


class Ranks(Protocol):
    """The processes that train one model together."""

    rank: int
    size: int

    def shard(self, module: nn.Module) -> None:
        """Spreads a module's parameters over the processes, in place, before its optimizer is made."""
        ...

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Sum over the processes of a tensor on the CPU."""
        ...

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """Items dealt by `shard_items`, from all processes, in their first order."""
        ...

    def broadcast(self, value: Any) -> Any:
        """The first process's value, in all of them."""
        ...

    def all_reduce_max(self, number: int) -> int:
        """The largest of the processes' numbers."""
        ...

    def barrier(self) -> None:
        """Returns when every process has come here."""
        ...


class SingleProcess:
    """No sharding: everything is here."""

    rank = 0
    size = 1

    def shard(self, module: nn.Module) -> None:
        """Nothing to do."""

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """The items themselves."""
        return list(items)

    def broadcast(self, value: Any) -> Any:
        """The value itself."""
        return value

    def all_reduce_max(self, number: int) -> int:
        """The number itself."""
        return number

    def barrier(self) -> None:
        """Nobody to wait for."""


def shard_items(items: Sequence[Item], ranks: Ranks, *, rank: int | None = None) -> list[Item]:
    """A process's share (this one's, or that of `rank`), like cards: neighbours in length go to different processes."""
    return list(items[ranks.rank if rank is None else rank :: ranks.size])
