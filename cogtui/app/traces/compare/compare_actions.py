"""Marking a rollout and comparing it with another, for every screen with a current rollout."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.opening import OpenComparison
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.traces.compare.siblings import choose_partner, describe_rollout
from cogtui.store import RolloutRow


class CompareActions(AppScreen):
    """A screen on which `m` marks the current rollout and `d` compares it with the marked one.

    Without a mark, `d` compares with the same problem at the first step of the run, else in another run.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "compare", "Compare"),
        Binding("m", "mark", "Mark to compare", show=False),
    ]

    @property
    def rollout_here(self) -> RolloutRow | None:
        """The current rollout."""
        raise NotImplementedError

    def mark_changed(self) -> None:
        """Called when the marked rollout changed."""

    def action_mark(self) -> None:
        """Mark the rollout for a comparison, or clear the mark."""
        here, marked = self.rollout_here, self.context.marked
        if here is None:
            return
        if marked is not None and marked.id == here.id:
            self.context.marked = None
            self.show_message("no longer marked")
        else:
            self.context.marked = here
            self.show_message(
                f"marked: {printable_line(describe_rollout(here), 120)}. d on another rollout compares the two"
            )
        self.mark_changed()

    def action_compare(self) -> None:
        """Compare the rollout with the marked one, or with the same problem elsewhere."""
        here, marked = self.rollout_here, self.context.marked
        if here is None:
            return
        if marked is not None and marked.id != here.id:
            self._open_compare(marked, here)
        else:
            self.run_worker(self._compare_with_partner(here), group="compare", exclusive=True)

    async def _compare_with_partner(self, here: RolloutRow) -> None:
        rows = await self.fetch(self.context.store.call(lambda store: store.same_problem(here.id)))
        if rows is None:
            return
        other = choose_partner(rows, here)
        if other is None:
            self.show_message("this problem has no other rollout; m marks one to compare any two", bad=True)
        else:
            self._open_compare(other, here)

    def _open_compare(self, left: RolloutRow, right: RolloutRow) -> None:
        self.post_message(OpenComparison(self, left, right))
