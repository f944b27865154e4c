"""The list of rollouts: a window of the index's rows in columns."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from cogtui.app.columns import Column, fitted, heading, row
from cogtui.app.looks import SPAN_LOOKS, Part
from cogtui.app.text import one_line
from cogtui.app.widgets.line import Line
from cogtui.app.widgets.table import Cells
from cogtui.app.widgets.window import WindowView
from cogtui.store import Cursor, Page, RolloutRow, Sort
from pipelines.records import BEHAVIOR_LETTERS, BEHAVIORS

_MOST_ROWS = 2000
MISSING = "–"
"""What stands where nothing is known; never a zero."""

COLUMNS = (
    Column("step", "step", 6, right=True),
    Column("condition", "condition", 15, grows=True),
    Column("seed", "seed", 5, right=True, rank=3),
    Column("problem", "problem", 11, rank=1),
    Column("reward", "reward", 7, right=True),
    Column("correct", "answer", 9),
    Column("length", "chars", 6, right=True),
    *(Column(behavior, f" {BEHAVIOR_LETTERS[behavior]}", 3, right=True) for behavior in BEHAVIORS),
    Column("judged", "judge", 7, rank=2),
    Column("split", "split", 6, rank=4),
    Column("sample", "smp", 4, right=True, rank=4),
    Column("tokens", "tokens", 6, right=True, rank=4),
    Column("numbers", "numbers → target", 22, rank=5),
    Column("stage", "stage", 18, rank=6),
    Column("id", "id", 16, rank=7),
    Column("noted", "", 1),
)


class RolloutList(WindowView):
    """Rows of one query; the screen feeds it pages.

    Args:
        titles: the line above, which this fills.
    """

    TITLE = "list of rollouts"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Read")]

    def __init__(self, titles: Line) -> None:
        super().__init__()
        self._titles = titles
        self._rollouts: list[RolloutRow] = []
        self._fitted = fitted(COLUMNS, 80)
        self._sort = Sort("step", descending=True)
        self._marked: str | None = None
        self.above: Cursor | None = None
        """Where the rows above begin; None where there are none."""
        self.below: Cursor | None = None
        """Where the rows below begin; None where there are none."""

    @property
    def line_count(self) -> int:
        return len(self._rollouts)

    @property
    def rollout(self) -> RolloutRow | None:
        """The row under the cursor."""
        return self._rollouts[self.cursor] if self._rollouts else None

    @property
    def rollouts(self) -> Sequence[RolloutRow]:
        """The loaded rows."""
        return self._rollouts

    @property
    def visible_rows(self) -> tuple[int, int]:
        """First visible line, and the one behind the last."""
        top = self.scroll_offset.y
        return top, min(self.line_count, top + self.size.height)

    def set_rows(
        self, rows: Sequence[RolloutRow], above: Cursor | None, below: Cursor | None, sort: Sort, cursor: int
    ) -> None:
        """Replaces all rows."""
        self._rollouts = list(rows)
        self.above, self.below = above, below
        self._sort = sort
        self._show_titles()
        self.lines_changed(cursor=cursor)
        self.show_line(self.cursor, context=self.size.height // 3)

    def prepend(self, page: Page[RolloutRow]) -> None:
        """Puts rows in front; what is seen stays where it is."""
        self._rollouts[:0] = page.rows
        self.above = page.before
        self.shift(len(page.rows))
        if len(self._rollouts) > _MOST_ROWS:
            del self._rollouts[_MOST_ROWS:]
            self.below = self._rollouts[-1].cursor
            self.lines_changed()

    def append(self, page: Page[RolloutRow]) -> None:
        """Puts rows behind."""
        self._rollouts.extend(page.rows)
        self.below = page.after
        excess = len(self._rollouts) - _MOST_ROWS
        if excess > 0:
            del self._rollouts[:excess]
            self.above = self._rollouts[0].cursor
            self.shift(-excess)
        self.lines_changed()

    def refresh_rows(self, rows: Sequence[RolloutRow], first: int) -> None:
        """Takes over newer versions of rows, from line `first` on, where they are still the same rollouts."""
        for offset, fresh in enumerate(rows):
            line = first + offset
            if line >= self.line_count or self._rollouts[line].id != fresh.id:
                return
            if self._rollouts[line] != fresh:
                self._rollouts[line] = fresh
                self.line_changed(line)

    def go_to(self, rollout_id: str) -> bool:
        """Puts the cursor on a rollout; False if it is not loaded."""
        for line, rollout in enumerate(self._rollouts):
            if rollout.id == rollout_id:
                self.cursor = line
                return True
        return False

    def show_mark(self, rollout_id: str | None) -> None:
        """Shows which rollout is picked to be compared."""
        if rollout_id != self._marked:
            self._marked = rollout_id
            self.refresh()

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        rollout = self._rollouts[line]
        cells = rollout_cells(rollout)
        if rollout.id == self._marked:
            cells = {**cells, "noted": ("◆", "busy")}
        return row(self._fitted, cells)

    def _show_titles(self) -> None:
        mark: dict[str, str] = {self._sort.field: "↓" if self._sort.descending else "↑"}
        self._titles.show((" ", "heading"), *heading(self._fitted, mark))

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._fitted = fitted(COLUMNS, self.text_width)
        self._show_titles()
        self.refresh()
        self.ask_for_more()


def rollout_cells(rollout: RolloutRow) -> Cells:
    """The cells of a row. What is missing is a dash, never a zero."""
    cells: dict[str, Part] = {
        "step": (str(rollout.step), ""),
        "condition": (one_line(rollout.condition or MISSING, 60), ""),
        "seed": (MISSING if rollout.seed is None else str(rollout.seed), "dim"),
        "problem": (one_line(rollout.problem_id, 40), ""),
        "reward": (MISSING if rollout.reward is None else f"{rollout.reward:.2f}", ""),
        "correct": answer_part(rollout),
        "length": (str(rollout.length), "dim"),
        "judged": (MISSING if rollout.judged == "none" else rollout.judged, "warn" if _trouble(rollout) else "dim"),
        "split": (one_line(rollout.split, 20), "dim"),
        "sample": (str(rollout.sample), "dim"),
        "tokens": (MISSING if rollout.n_tokens is None else str(rollout.n_tokens), "dim"),
        "numbers": (rollout.puzzle(), "dim"),
        "stage": (rollout.stage, "dim"),
        "id": (rollout.id, "dim"),
        "noted": ("*" if rollout.noted else "", "strong"),
    }
    for behavior, count in zip(BEHAVIORS, rollout.counts, strict=True):
        text = MISSING if count is None else str(count)
        cells[behavior] = (text, SPAN_LOOKS[behavior] if count else "dim")
    return cells


def answer_part(rollout: RolloutRow) -> Part:
    """`✓ correct`, `✗ wrong`, `✗ cut off`, or a dash where it was not scored."""
    if rollout.correct is None:
        return MISSING, "dim"
    if rollout.correct:
        return "✓ correct", "good"
    return ("✗ cut off" if rollout.finish_reason == "length" else "✗ wrong"), "bad"


def _trouble(rollout: RolloutRow) -> bool:
    return rollout.judged in ("partial", "failed") or bool(rollout.unaligned)
