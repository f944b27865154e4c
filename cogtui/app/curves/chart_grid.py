"""The charts of the dashboard in one widget: framed small multiples with one of them in focus, or one over everything.

One widget draws all charts because twelve widgets with borders would be laid out and styled again at every change.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from cogtui.app.curves.chart import ChartLine, ChartView, chart_rows
from cogtui.app.rendering.plot import format_number
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import crop, printable_line
from cogtui.app.textual_compat.styled_widget import StyledWidget

_LEAST_HEIGHT = 8
_WIDEST_GRID = 5
_COLUMN_CELLS = 38
"""A chart has at least about as many cells before another column begins."""


class Chart(NamedTuple):
    """One chart of the grid."""

    key: str
    title: str
    lines: Sequence[ChartLine]


class ChartGrid(StyledWidget, can_focus=True):
    """Draws charts in rows and columns; the screen decides what they show and where the cursor stands."""

    TITLE: ClassVar[str] = "charts"
    DEFAULT_CSS = "ChartGrid { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "step(-1)", "Step before", show=False),
        Binding("right,l", "step(1)", "Step after", show=False, key_display="←→"),
        Binding("home", "step(-1000000000)", "First step", show=False),
        Binding("end", "step(1000000000)", "Last step", show=False),
        Binding("tab", "chart(1)", "Chart"),
        Binding("shift+tab", "chart(-1)", "Chart before", show=False),
        Binding("down,j", "group(1)", "Next group of runs", show=False),
        Binding("up,k", "group(-1)", "Previous group of runs", show=False),
        Binding("enter", "choose", "Rollouts here"),
    ]

    class Stepped(Message):
        """The user asked for a step before or after."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class StepPointed(Message):
        """The user clicked at a step of a chart."""

        def __init__(self, step: float) -> None:
            super().__init__()
            self.step = step

    class GroupStepped(Message):
        """The user asked for another group of runs."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class ChartChanged(Message):
        """Another chart is in focus."""

    class PointChosen(Message):
        """The user asked for the rollouts behind the point at the cursor."""

    class ZoomToggled(Message):
        """The user double-clicked a chart."""

    def __init__(self) -> None:
        super().__init__()
        self.charts: Sequence[Chart] = ()
        self.focused_chart = 0
        self.zoomed = False
        self._chosen = ""
        self._step: float | None = None
        self._view = ChartView()
        self._rows: list[list[Part]] = []

    @property
    def text(self) -> str:
        """The text shown, without styles."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    @property
    def chart(self) -> Chart | None:
        """The chart in focus."""
        return self.charts[self.focused_chart] if self.charts else None

    def show_charts(self, charts: Sequence[Chart], chosen: str, step: float | None, view: ChartView) -> None:
        """Show charts with the cursor at a step and one group chosen; repaint the lines that changed."""
        here = self.chart.key if self.chart is not None else ""
        keys = [one.key for one in charts]
        self.charts, self._chosen, self._step, self._view = charts, chosen, step, view
        self.focused_chart = keys.index(here) if here in keys else 0
        self.draw()

    def layout_of(self) -> tuple[int, int]:
        """Return the number of columns and rows of charts that fit."""
        if self.zoomed or not self.charts:
            return 1, 1
        width, height = self.size
        columns = max(1, min(_WIDEST_GRID, width // _COLUMN_CELLS, len(self.charts)))
        rows = max(1, height // _LEAST_HEIGHT)
        if rows > 1:
            rows = max(1, min(rows, height // 11)) if height >= 22 else rows
        return columns, min(rows, -(-len(self.charts) // columns))

    def page(self) -> range:
        """Return the indexes of the charts that are shown: the page with the one in focus."""
        columns, rows = self.layout_of()
        size = columns * rows
        first = self.focused_chart if self.zoomed else self.focused_chart // size * size
        return range(first, min(len(self.charts), first + size))

    def draw(self) -> None:
        """Build the rows again and repaint those that changed."""
        rows = self._build()
        if len(rows) != len(self._rows):
            self._rows = rows
            self.refresh()
            return
        changed = [y for y, (now, then) in enumerate(zip(rows, self._rows, strict=True)) if now != then]
        self._rows = rows
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _build(self) -> list[list[Part]]:
        width, height = self.size
        columns, rows = self.layout_of()
        if not self.charts or height < 3 or width < 14:
            return [[] for _ in range(height)]
        page = list(self.page())
        built: list[list[Part]] = []
        top = 0
        for row in range(rows):
            bottom = height * (row + 1) // rows
            boxes = []
            left = 0
            for column in range(columns):
                place = row * columns + column
                right = width * (column + 1) // columns
                if place < len(page):
                    boxes.append(self._box(page[place], right - left, bottom - top))
                else:
                    boxes.append([[(" " * (right - left), "")]] * (bottom - top))
                left = right
            built += [[part for box in boxes for part in box[line]] for line in range(bottom - top)]
            top = bottom
        return built

    def _box(self, index: int, width: int, height: int) -> list[list[Part]]:
        chart = self.charts[index]
        here = index == self.focused_chart
        frame: StyleName = "frame" if here and self.has_focus else "rule"
        title = f" {crop(printable_line(chart.title, 80), max(0, width - 6))} "
        rows: list[list[Part]] = [
            [
                ("╭─", frame),
                (title, "focus" if here and self.has_focus else "strong"),
                ("─" * (width - 3 - cell_len(title)) + "╮", frame),
            ]
        ]
        inside = chart_rows(
            chart.lines, width - 3, height - 2, chosen=self._chosen, step=self._step, view=self._view
        ) or [[(" no value yet", "dim")]]
        for row in range(height - 2):
            parts = inside[row] if row < len(inside) else []
            used = sum(cell_len(text) for text, _ in parts)
            rows.append([("│", frame), *parts, (" " * max(0, width - 2 - used), ""), ("│", frame)])
        value = self._value_text(chart)
        foot = f" {value} " if value and len(value) < width - 6 else ""
        rows.append([("╰" + "─" * (width - 3 - len(foot)), frame), (foot, "" if here else "dim"), ("─╯", frame)])
        return rows

    def _value_text(self, chart: Chart) -> str:
        """Return the chosen group's value at the cursor: `.31 ±.05 at 31`."""
        for one in chart.lines:
            if one.name == self._chosen and self._step is not None:
                point = one.at(self._step)
                if point is None:
                    return ""
                half = "" if point.high is None else f" ±{format_number(point.high - point.mean)}"
                return f"{one.letter} {format_number(point.mean)}{half} at {point.step}"
        return ""

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)

    def on_resize(self, event: events.Resize) -> None:
        self._rows = []
        self.draw()

    def on_focus(self) -> None:
        self.draw()

    def on_blur(self) -> None:
        self.draw()

    def action_step(self, by: int) -> None:
        """Request another step."""
        self.post_message(self.Stepped(by))

    def action_group(self, by: int) -> None:
        """Request another group of runs."""
        self.post_message(self.GroupStepped(by))

    def action_choose(self) -> None:
        """Request the rollouts behind the point at the cursor."""
        if self.charts:
            self.post_message(self.PointChosen())

    def action_chart(self, by: int) -> None:
        """Focus the next or previous chart; past the last of a page the next page is shown."""
        if self.charts:
            self.focused_chart = (self.focused_chart + by) % len(self.charts)
            self.draw()
            self.post_message(self.ChartChanged())

    def _chart_at(self, x: int, y: int) -> tuple[int, int, int] | None:
        """Return (index, left edge, width) of the chart at a cell."""
        columns, rows = self.layout_of()
        column, row = x * columns // max(1, self.size.width), y * rows // max(1, self.size.height)
        page = self.page()
        place = row * columns + column
        if place >= len(page):
            return None
        left = self.size.width * column // columns
        return page[place], left, self.size.width * (column + 1) // columns - left

    def on_click(self, event: events.Click) -> None:
        found = self._chart_at(event.x, event.y)
        if found is None:
            return
        index, left, width = found
        if index != self.focused_chart:
            self.focused_chart = index
            self.post_message(self.ChartChanged())
        if event.chain == 2:
            self.post_message(self.ZoomToggled())
        extents = [one.extent for one in self.charts[index].lines if one.extent is not None]
        if extents:
            first, last = min(one.left for one in extents), max(one.right for one in extents)
            share = min(1.0, max(0.0, (event.x - left - 8) / max(1, width - 10)))
            self.post_message(self.StepPointed(first + share * (last - first)))
        self.draw()
