"""Messages of screens that want another one opened: the app knows all screens, they need not know each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:  # the store is half of what the app imports, and its first screen needs none of it
    from cogtui.app.shell.list_query import ListQuery
    from cogtui.app.shell.screen_base import AppScreen
    from cogtui.store import RolloutRow


class OpenRequest(Message):
    """Something is to be opened over a screen; nothing is where another screen covers that one by now."""

    def __init__(self, opener: AppScreen) -> None:
        super().__init__()
        self.opener = opener


class OpenReader(OpenRequest):
    """Read one rollout of a list; `left` is called with the last one read when the reader goes back."""

    def __init__(
        self,
        opener: AppScreen,
        listed: ListQuery,
        rollout: RolloutRow,
        left: Callable[[RolloutRow], None] | None = None,
    ) -> None:
        super().__init__(opener)
        self.listed = listed
        self.rollout = rollout
        self.left = left


class OpenComparison(OpenRequest):
    """Read two rollouts beside each other."""

    def __init__(self, opener: AppScreen, left: RolloutRow, right: RolloutRow) -> None:
        super().__init__(opener)
        self.left = left
        self.right = right


class OpenRolloutList(OpenRequest):
    """List the rollouts of a scope, which is a filter."""

    def __init__(self, opener: AppScreen, path: str, scope: str) -> None:
        super().__init__(opener)
        self.path = path
        self.scope = scope


class PrepareReaders(Message):
    """Rollouts are listed, so one will be opened."""
