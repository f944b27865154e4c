"""Messages of screens that want another one opened: the app knows all screens, they need not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:  # the store is half of what the app imports, and its first screen needs none of it
    from cogtui.app.data.query import ListQuery
    from cogtui.store import RolloutRow


class OpenTrace(Message):
    """Read one rollout of a list."""

    def __init__(self, mode: str, listed: ListQuery, rollout: RolloutRow) -> None:
        super().__init__()
        self.mode = mode
        self.listed = listed
        self.rollout = rollout


class OpenTraces(Message):
    """List the rollouts of a scope, which is a filter."""

    def __init__(self, mode: str, path: str, scope: str) -> None:
        super().__init__()
        self.mode = mode
        self.path = path
        self.scope = scope
