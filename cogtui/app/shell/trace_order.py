"""The order in which a reader goes from trace to trace: that of a list, or of a queue."""

from collections.abc import Sequence
from typing import Protocol

from cogtui.app.shell.list_query import ListQuery
from cogtui.store import RolloutRow, Store


class TraceOrder(Protocol):
    """A sequence of traces. Its methods run in the store's thread."""

    def neighbour(self, store: Store, rollout: RolloutRow, direction: int) -> RolloutRow | None:
        """Return the next (1) or previous (-1) trace; None at an end."""

    def position_text(self, store: Store, rollout: RolloutRow) -> str:
        """Return the position of a trace, for example `12 of 4,320`."""


class ListOrder:
    """The order of a list of rollouts."""

    def __init__(self, list_query: ListQuery) -> None:
        self._list_query = list_query

    def neighbour(self, store: Store, rollout: RolloutRow, direction: int) -> RolloutRow | None:
        query, here = self._list_query.query(), rollout.cursor
        if direction > 0:
            rows = store.page(query, after=here, limit=1).rows
        else:
            rows = store.page(query, before=here, limit=1).rows
        return rows[0] if rows else None

    def position_text(self, store: Store, rollout: RolloutRow) -> str:
        query = self._list_query.query()
        return f"{store.position(query, rollout.cursor) + 1:,} of {store.count(query):,}"


class QueueOrder:
    """The order of a queue of rollout ids."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(ids)

    def neighbour(self, store: Store, rollout: RolloutRow, direction: int) -> RolloutRow | None:
        index = self._ids.index(rollout.id) + direction if rollout.id in self._ids else -1
        return store.rollout(self._ids[index]).row if 0 <= index < len(self._ids) else None

    def position_text(self, store: Store, rollout: RolloutRow) -> str:
        return f"{self._ids.index(rollout.id) + 1:,} of {len(self._ids):,}" if rollout.id in self._ids else ""
