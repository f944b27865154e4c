"""The line below the charts: each group with its letter, its line and its value at the cursor."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events

from cogtui.analysis.curves import CurvePoint
from cogtui.app.curves.chart import CORRECTED, ChartLine
from cogtui.app.rendering.plot import SWATCHES, format_number
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line
from cogtui.app.widgets.text_rows import TextRows
from pipelines.behaviors.metrics.prediction_powered import MIN_GOLD
from pipelines.wording import count_of

MOST_ROWS = 4
_HIGH = 32


def _corrected_parts(point: CurvePoint) -> list[Part]:
    """Return the corrected mean of a point, or how many labels it has that are too few."""
    found = point.corrected
    if found is None:
        return [(f" {point.labels} of {MIN_GOLD} labels", "dim")] if point.labels else []
    parts: list[Part] = [(f" {CORRECTED} {format_number(found.mean)}", "strong")]
    if found.half is not None:
        parts.append((f" ±{format_number(found.half)}", "dim"))
    elif found.judge_half is not None:
        parts.append((f" (judge ±{format_number(found.judge_half)})", "dim"))
    return [*parts, (f" {count_of(point.labels, 'label')}", "dim")]


class CurveLegend(TextRows):
    """Wraps the groups over as many rows as they need, at most four."""

    def __init__(self) -> None:
        super().__init__(widget_id="legend")
        self._items: list[list[Part]] = []

    def show_lines(self, lines: Sequence[ChartLine], chosen: str, step: float | None) -> None:
        """Show the groups of a chart with their values at a step; the chosen one is marked."""
        self._items = []
        if step is not None:
            self._items.append([(f"step {step:g}", "dim")])
        for one in sorted(lines, key=lambda line: line.letter):
            here = one.name == chosen
            item: list[Part] = [
                ("›" if here else " ", "key"),
                (f"{one.letter} {SWATCHES[one.pattern]} ", one.style),
                (printable_line(one.title, 60), "chosen" if here else ""),
            ]
            point = None if step is None else one.at(step)
            if point is None:
                item.append((" –", "dim"))
            else:
                item.append((f" {format_number(point.mean)}", "strong"))
                if point.high is not None:
                    item.append((f" ±{format_number(point.high - point.mean)}", "dim"))
                item += _corrected_parts(point)
                if here:
                    seeds = "1 seed, no interval" if point.seeds == 1 else f"{point.seeds} seeds"
                    missing = f", {point.missing:,} without a value" if point.missing else ""
                    rollouts = f", n {point.n:,}" if one.curve.split else ""  # a metric of training counts no rollouts
                    item.append((f" {seeds}{rollouts}{missing}", "warn" if missing else "dim"))
            self._items.append(item)
        self._wrap()

    def _wrap(self) -> None:
        width = max(20, self.size.width)
        rows: list[list[Part]] = [[]]
        used = 0
        for item in self._items:
            wide = sum(cell_len(text) for text, _ in item)
            if used and used + 2 + wide > width:
                rows.append([])
                used = 0
            if used:
                rows[-1].append(("  ", ""))
                used += 2
            rows[-1] += item
            used += wide
        shown = rows[: MOST_ROWS if self.app.size.height >= _HIGH else MOST_ROWS // 2]
        self.styles.height = len(shown)
        self.show_rows(shown)

    def on_resize(self, event: events.Resize) -> None:
        self._wrap()
