"""Messages by which a screen asks the app to open another screen.

The app knows all screens; screens do not know each other, so a feature can be removed without editing another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:  # importing the store takes half of the start-up time, and the first screen needs none of it
    from cogtui.app.shell.list_query import ListQuery
    from cogtui.app.shell.screen_base import AppScreen
    from cogtui.app.shell.trace_order import TraceOrder
    from cogtui.store import RolloutRow
    from jobs.planning.experiments import Experiment


class OpenRequest(Message):
    """A request to open a screen over another one; ignored if that one is covered by the time it arrives."""

    def __init__(self, opener: AppScreen) -> None:
        super().__init__()
        self.opener = opener


class OpenReader(OpenRequest):
    """Read one rollout of a list.

    Args:
        opener: the screen that asks.
        list_query: the list.
        rollout: its row in the list.
        on_close: called with the last rollout read when the reader is closed.
    """

    def __init__(
        self,
        opener: AppScreen,
        list_query: ListQuery,
        rollout: RolloutRow,
        on_close: Callable[[RolloutRow], None] | None = None,
    ) -> None:
        super().__init__(opener)
        self.list_query = list_query
        self.rollout = rollout
        self.on_close = on_close


class OpenComparison(OpenRequest):
    """Read two rollouts side by side."""

    def __init__(self, opener: AppScreen, left: RolloutRow, right: RolloutRow) -> None:
        super().__init__(opener)
        self.left = left
        self.right = right


class OpenRolloutList(OpenRequest):
    """List the rollouts that pass a filter.

    Args:
        opener: the screen that asks.
        path: the text that the top bar shows for the list.
        scope: the filter; it holds as long as the list is open.
    """

    def __init__(self, opener: AppScreen, path: str, scope: str) -> None:
        super().__init__(opener)
        self.path = path
        self.scope = scope


class OpenAnnotation(OpenRequest):
    """Annotate one rollout.

    Args:
        opener: the screen that asks.
        order: the order in which the reader goes on to other rollouts.
        rollout: the rollout to begin with.
        judge_run: id of the judge run whose spans are offered first.
        on_close: called with the last rollout and the annotator's judge run when the screen is closed.
    """

    def __init__(
        self,
        opener: AppScreen,
        order: TraceOrder,
        rollout: RolloutRow,
        judge_run: str,
        on_close: Callable[[RolloutRow, str], None],
    ) -> None:
        super().__init__(opener)
        self.order = order
        self.rollout = rollout
        self.judge_run = judge_run
        self.on_close = on_close


class OpenAdjudication(OpenRequest):
    """Decide the final labels of rollouts on which annotators differ.

    Args:
        opener: the screen that asks.
        ids: of the rollouts, in this order.
        rollout: the first of them.
        on_close: called when the screen is closed.
    """

    def __init__(
        self, opener: AppScreen, ids: Sequence[str], rollout: RolloutRow, on_close: Callable[[], None]
    ) -> None:
        super().__init__(opener)
        self.ids = tuple(ids)
        self.rollout = rollout
        self.on_close = on_close


class OpenLaunch(OpenRequest):
    """Prepare a launch.

    Args:
        opener: the screen that asks.
        recipe: file to launch.
        experiment: to clone with changes, instead of a file.
    """

    def __init__(self, opener: AppScreen, recipe: Path | None = None, experiment: Experiment | None = None) -> None:
        super().__init__(opener)
        self.recipe = recipe
        self.experiment = experiment


class ShowExperiment(OpenRequest):
    """Show the matrix of an experiment; closes the screen that asks."""

    def __init__(self, opener: AppScreen, name: str) -> None:
        super().__init__(opener)
        self.name = name


class PrepareReaders(Message):
    """Rollouts are listed, so the reader will be opened soon: have its screens ready."""
