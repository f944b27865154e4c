"""The plot of the curves, and the list of them with their values at the cursor's step."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from cogtui.app.curves.curve_plot import PlotSeries, plot_rows
from cogtui.app.rendering.plot import SWATCHES, format_number
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.textual_compat.styled_widget import StyledWidget
from cogtui.app.widgets.line_view import LineView


class CurvePlot(StyledWidget):
    """Draws curves; repaints the lines that changed."""

    DEFAULT_CSS = "CurvePlot { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._series: Sequence[PlotSeries] = ()
        self._chosen = 0
        self._step: int | None = None
        self._rows: list[list[Part]] = []

    @property
    def text(self) -> str:
        """The text shown, without styles."""
        return "\n".join("".join(text for text, _ in row) for row in self._rows)

    def show_series(self, series: Sequence[PlotSeries], chosen: int, step: int | None) -> None:
        """Show curves with one of them chosen and the cursor at a step."""
        self._series, self._chosen, self._step = series, chosen, step
        self._draw()

    def _draw(self) -> None:
        rows = plot_rows(self._series, self.size.width, self.size.height, chosen=self._chosen, step=self._step)
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return self.strip(self._rows[y] if y < len(self._rows) else (), self.size.width)


class CurveList(LineView):
    """The curves by letter, with mean, interval, seeds and missing values at the cursor's step."""

    TITLE = "list of curves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Rollouts"),
        Binding("left", "step(-1)", "Step before", show=False),
        Binding("right", "step(1)", "Step after", show=False),
    ]

    class Stepped(Message):
        """The user asked for another step."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self) -> None:
        super().__init__()
        self._series: Sequence[PlotSeries] = ()
        self._step: int | None = None

    @property
    def line_count(self) -> int:
        return len(self._series)

    def show_series(self, series: Sequence[PlotSeries], step: int | None) -> None:
        """Show curves with their values at a step; the cursor stays on its condition."""
        here = self._series[self.cursor].name if self.cursor < len(self._series) else None
        names = [one.name for one in series]
        changed = (series, step) != (self._series, self._step)
        self._series, self._step = series, step
        if changed:
            self.lines_changed(cursor=names.index(here) if here in names else 0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        one = self._series[line]
        parts: list[Part] = [
            (f"{one.letter} ", (one.style, "strong")),
            (f"{SWATCHES[one.pattern]} ", one.style),
            (fit(printable_line(one.name, 60), max(10, min(28, width - 34))), ""),
        ]
        point = None if self._step is None else one.at(self._step)
        if point is None:
            return [*parts, ("  no value at this step", "dim")]
        parts.append((fit(format_number(point.mean), 7, right=True), "strong"))
        if point.low is not None and point.high is not None:
            parts.append((f" ±{format_number((point.high - point.low) / 2)}", ""))
        seeds = "1 seed" if point.seeds == 1 else f"{point.seeds} seeds"
        missing = f", {point.missing:,} without" if point.missing else ""
        parts.append((f"  {seeds}, n {point.n:,}{missing}", "warn" if point.missing else "dim"))
        return parts

    def action_step(self, by: int) -> None:
        """Request another step."""
        self.post_message(self.Stepped(by))
