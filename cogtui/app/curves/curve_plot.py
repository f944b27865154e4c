"""Curves of a measure as a plot: the style of each curve, axes and lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cogtui.analysis.curves import Curve, CurvePoint
from cogtui.app.rendering.plot import PATTERNS, BrailleCanvas, Pattern, find_bounds, format_number
from cogtui.app.rendering.styles import SERIES_STYLES, Part, StyleName
from cogtui.app.rendering.text import fit

_AXIS = 7
"""Cells for the labels of the vertical axis."""


@dataclass(frozen=True, slots=True)
class PlotSeries:
    """A curve with the letter, style and pattern that identify it, with and without colour."""

    curve: Curve
    letter: str
    style: StyleName
    pattern: Pattern
    published: Sequence[tuple[int, float]] = ()
    """The published curve of the same condition."""

    @property
    def name(self) -> str:
        """The condition as shown."""
        return self.curve.condition or "no condition"

    def at(self, step: int) -> CurvePoint | None:
        """Return the point at a step."""
        return next((point for point in self.curve.points if point.step == step), None)


def make_series(curves: Sequence[Curve], published: Mapping[str, Sequence[tuple[int, float]]]) -> list[PlotSeries]:
    """Assign each curve a letter, a style and a pattern."""
    return [
        PlotSeries(
            curve,
            chr(ord("a") + index % 26),
            SERIES_STYLES[index % len(SERIES_STYLES)],
            PATTERNS[index // len(SERIES_STYLES) % len(PATTERNS)],
            published.get(curve.condition or "", ()),
        )
        for index, curve in enumerate(curves)
    ]


def list_steps(series: Sequence[PlotSeries]) -> list[int]:
    """Return all steps at which a curve has a point."""
    return sorted({point.step for one in series for point in one.curve.points})


def _edges(point: CurvePoint) -> list[tuple[float, float, float]]:
    """Return the step and interval of a point; empty without an interval."""
    return [] if point.low is None or point.high is None else [(point.step, point.low, point.high)]


def plot_rows(
    series: Sequence[PlotSeries], width: int, height: int, *, chosen: int = 0, step: int | None = None
) -> list[list[Part]]:
    """Return the plot with its axes.

    Args:
        series: what to draw; the chosen one is drawn last, over the others, and alone has its band.
        width, height: in cells, axes included.
        chosen: index of the chosen one.
        step: where the cursor stands.
    """
    steps = list_steps(series)
    if not steps or height < 3 or width < _AXIS + 4:
        return []
    seen = [(float(point.step), point.mean) for one in series for point in one.curve.points]
    if 0 <= chosen < len(series):
        for point in series[chosen].curve.points:
            seen += [(point.step, edge) for edge in (point.low, point.high) if edge is not None]
    for one in series:
        seen += [(at, value) for at, value in one.published if steps[0] <= at <= steps[-1]]
    bounds = find_bounds(seen, from_zero=True)
    field = BrailleCanvas(width - _AXIS, height - 1, bounds)
    order = sorted(range(len(series)), key=lambda index: index == chosen)
    for index in order:
        one = series[index]
        if index == chosen:
            for before, after in pairwise(one.curve.points):
                field.band([*_edges(before), *_edges(after)], one.style)
        field.line([(at, value) for at, value in one.published if at <= bounds.right], "dim", "dotted")
    for index in order:
        one = series[index]
        field.line([(point.step, point.mean) for point in one.curve.points], one.style, one.pattern)
    for index in order:
        one, last = series[index], series[index].curve.points[-1]
        field.letter(last.step, last.mean, one.letter, (one.style, "strong"))
    cursor = None if step is None else field.column_of(step)
    rows: list[list[Part]] = []
    marks = {0: bounds.top, (height - 2) // 2: (bounds.top + bounds.bottom) / 2, height - 2: bounds.bottom}
    for row, parts in enumerate(field.rows(cursor)):
        label = format_number(marks[row]) if row in marks else ""
        rows.append([(fit(label, _AXIS - 2, right=True), "dim"), (" ┤" if row in marks else " │", "dim"), *parts])
    left, right = f"{steps[0]}", f"step {steps[-1]}"
    gap = max(1, width - _AXIS - len(left) - len(right))
    rows.append([(" " * _AXIS, ""), (left + " " * gap + right, "dim")])
    return rows
