"""Which trace comes next while annotating or comparing: that of a list, or of a queue."""

from collections.abc import Sequence
from typing import Protocol

from cogtui.app.shell.list_query import ListQuery
from cogtui.store import RolloutRow, Store


class TraceOrder(Protocol):
    """Traces in some order."""

    def neighbour(self, store: Store, rollout: RolloutRow, direction: int) -> RolloutRow | None:
        """The next or previous one; None at an end. Runs in the store's thread."""

    def place(self, store: Store, rollout: RolloutRow) -> str:
        """Where a trace stands, in words."""


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

    def place(self, store: Store, rollout: RolloutRow) -> str:
        query = self._list_query.query()
        return f"{store.position(query, rollout.cursor) + 1:,} of {store.count(query):,}"


class QueueOrder:
    """A queue of rollout ids."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = list(ids)

    def neighbour(self, store: Store, rollout: RolloutRow, direction: int) -> RolloutRow | None:
        at = self._ids.index(rollout.id) + direction if rollout.id in self._ids else -1
        return store.rollout(self._ids[at]).row if 0 <= at < len(self._ids) else None

    def place(self, store: Store, rollout: RolloutRow) -> str:
        return f"{self._ids.index(rollout.id) + 1:,} of {len(self._ids):,}" if rollout.id in self._ids else ""
