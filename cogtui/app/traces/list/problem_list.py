"""The problems of a list of rollouts, loaded in pages, with the reward over the steps."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType

from cogtui.app.rendering.column_layout import Column, fit_columns, heading_parts, row_parts
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.rollout.rollout_columns import MISSING
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.window_view import WindowView
from cogtui.store import Cursor, Page
from cogtui.store.values.types import GroupSort, ProblemGroup

_COLUMNS: Final = (
    Column("problem", "problem", 11),
    Column("numbers", "description", 17, rank=1),
    Column("rollouts", "n", 7, right=True),
    Column("best", "best", 6, right=True),
    Column("mean", "mean", 6, right=True),
    Column("worst", "worst", 6, right=True),
    Column("steps", "mean over the steps", 20, grows=True),
)
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


class ProblemList(WindowView):
    """The problems of one query; the screen loads its pages.

    Args:
        titles: the line above, which this fills.
    """

    TITLE = "list of problems"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Rollouts")]

    def __init__(self, titles: TextRows) -> None:
        super().__init__()
        self._titles = titles
        self._groups: list[ProblemGroup] = []
        self._sort: tuple[GroupSort, bool] = ("problem", False)
        self._fitted = fit_columns(_COLUMNS, 80)
        self.above: Cursor | None = None
        self.below: Cursor | None = None

    @property
    def line_count(self) -> int:
        return len(self._groups)

    @property
    def group(self) -> ProblemGroup | None:
        """The problem under the cursor."""
        return self._groups[self.cursor] if self._groups else None

    @property
    def groups(self) -> Sequence[ProblemGroup]:
        """The loaded problems."""
        return self._groups

    def set_page(self, page: Page[ProblemGroup], sort: tuple[GroupSort, bool], cursor: int) -> None:
        """Replace all problems."""
        self._groups = list(page.rows)
        self.above, self.below, self._sort = page.before, page.after, sort
        self._show_titles()
        self.lines_changed(cursor=cursor)

    def prepend(self, page: Page[ProblemGroup]) -> None:
        """Insert problems at the start; the visible ones stay in place."""
        self._groups[:0] = page.rows
        self.above = page.before
        self.shift(len(page.rows))

    def append(self, page: Page[ProblemGroup]) -> None:
        """Append problems."""
        self._groups.extend(page.rows)
        self.below = page.after
        self.lines_changed()

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        group = self._groups[line]
        unscored = group.rollouts - group.scored
        cells: dict[str, Part] = {
            "problem": (printable_line(group.problem_id, 60), ""),
            "numbers": (printable_line(group.describe(), 100), "dim"),
            "rollouts": (f"{group.rollouts:,}" + ("*" if unscored else ""), "warn" if unscored else "dim"),
            "best": (_reward(group.best), "good" if group.best is not None and group.best >= 1 else ""),
            "mean": (_reward(group.mean), "strong"),
            "worst": (_reward(group.worst), "dim"),
            "steps": (sparkline(group.by_step, self._fitted[-1][1]), "series-0"),
        }
        return row_parts(self._fitted, cells)

    def _show_titles(self) -> None:
        field, descending = self._sort
        self._titles.show((" ", "heading"), *heading_parts(self._fitted, {field: "↓" if descending else "↑"}))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._fitted = fit_columns(_COLUMNS, self.text_width)
        self._show_titles()
        self.refresh()
        self.ask_for_more()


def _reward(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def sparkline(points: Sequence[tuple[int, float]], width: int) -> str:
    """Draw mean rewards by step as blocks from 0 to 1 (or to the largest), from the first step to the last.

    If there are more steps than cells, they are averaged; a step without a scored rollout has no block.
    """
    values = [value for _, value in points]
    if not values or width <= 0:
        return ""
    if len(values) > width:
        edges = [len(values) * cell // width for cell in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(0.0, *values), max(1.0, *values)
    return "".join(_BLOCKS[min(7, int(8 * (value - low) / (high - low)))] for value in values)
