"""One chart of the dashboard: lines, axes with round ticks, the chosen band, published curves, the cursor."""

import math
import statistics
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

from cogtui.analysis.curves import Curve, CurvePoint
from cogtui.app.rendering.plot import (
    PATTERNS,
    XY,
    BrailleCanvas,
    Pattern,
    PlotBounds,
    decimate,
    find_bounds,
    format_tick,
    nice_ticks,
)
from cogtui.app.rendering.styles import SERIES_STYLES, Part, StyleName, StyleNames
from cogtui.app.rendering.text import fit
from cogtui.palette import series_slots

_GAP: Final = 3.5
"""A distance between neighbouring points of so many times the usual one is a gap: no line crosses it."""
_FEW: Final = 8
"""Lines of fewer points have no usual distance."""
CORRECTED: Final = "◆"
"""The sign of a mean that was corrected by people's labels."""
Edge = tuple[float, float, float]
"""Step, lower and upper end."""


class ChartView(NamedTuple):
    """How charts are drawn."""

    smoothing: float = 0.0
    """Weight of the past in an exponential mean; 0 draws the values themselves."""
    log_axis: bool = False
    """Whether the vertical axis is logarithmic; values that are not positive are then gaps."""
    no_color: bool = False
    """Whether lines differ by pattern, since they cannot by colour."""


@dataclass(frozen=True)
class ChartLine:
    """A curve as it is drawn."""

    curve: Curve
    letter: str
    style: StyleName
    pattern: Pattern
    view: ChartView = field(default_factory=ChartView)
    published: Sequence[XY] = ()
    """The published curve of the same condition."""
    _decimated: dict[tuple[float, float, int], list[list[XY]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The group's name."""
        return self.curve.name

    @property
    def title(self) -> str:
        """The group as shown: the condition by its value alone."""
        return self.name.replace("condition=", "")

    @cached_property
    def segments(self) -> list[tuple[list[float], list[float]]]:
        """The steps and transformed values of each part without a gap."""
        points = self.curve.points
        usual = statistics.median(after.step - before.step for before, after in pairwise(points)) if points[1:] else 0
        found: list[tuple[list[float], list[float]]] = []
        last: float | None = None
        mean, weight = 0.0, 0.0
        for point in points:
            mean = self.view.smoothing * mean + (1 - self.view.smoothing) * point.mean
            weight = self.view.smoothing * weight + (1 - self.view.smoothing)
            value = transform(mean / weight, self.view)
            if value is None:
                last = None
                continue
            if last is None or (len(points) >= _FEW and point.step - last > _GAP * usual):
                found.append(([], []))
            xs, ys = found[-1]
            # Of a point that stands for many steps the extremes are drawn too, so that no peak is lost.
            if point.bottom is not None and point.top is not None and not self.view.smoothing:
                for extreme in (point.bottom, point.top):
                    drawn = transform(extreme, self.view)
                    if drawn is not None:
                        xs.append(point.step)
                        ys.append(drawn)
            xs.append(point.step)
            ys.append(value)
            last = point.step
        return found

    @cached_property
    def band(self) -> list[Edge]:
        """The interval at each step that has one."""
        edges = []
        for point in self.curve.points:
            if point.low is not None and point.high is not None:
                low, high = transform(point.low, self.view), transform(point.high, self.view)
                if low is not None and high is not None:
                    edges.append((float(point.step), low, high))
        return edges

    @cached_property
    def corrected(self) -> list[tuple[float, ...]]:
        """Step and mean corrected by people's labels, and the ends of its interval where it has one."""
        found: list[tuple[float, ...]] = []
        for point in self.curve.points:
            one = point.corrected
            if one is not None:
                ends = (one.mean,) if one.low is None or one.high is None else (one.mean, one.low, one.high)
                drawn = [value for end in ends if (value := transform(end, self.view)) is not None]
                if drawn:
                    found.append((float(point.step), *drawn))
        return found

    @cached_property
    def extent(self) -> PlotBounds | None:
        """The range of its points; None without any."""
        if not self.segments:
            return None
        return PlotBounds(
            min(xs[0] for xs, _ in self.segments),
            max(xs[-1] for xs, _ in self.segments),
            min(min(ys) for _, ys in self.segments),
            max(max(ys) for _, ys in self.segments),
        )

    @cached_property
    def _steps(self) -> list[int]:
        return [point.step for point in self.curve.points]

    def at(self, step: float) -> CurvePoint | None:
        """Return the point at a step."""
        place = bisect_left(self._steps, step)
        points = self.curve.points
        return points[place] if place < len(points) and points[place].step == step else None

    def drawn(self, left: float, right: float, columns: int) -> list[list[XY]]:
        """Return the points to join on a field of so many dot columns, part by part."""
        key = (left, right, columns)
        if key not in self._decimated:
            self._decimated.clear()
            self._decimated[key] = [decimate(xs, ys, left, right, columns) for xs, ys in self.segments]
        return self._decimated[key]


def transform(value: float, view: ChartView) -> float | None:
    """Return where a value stands on the vertical axis; None where it has no place."""
    if not math.isfinite(value):
        return None
    if not view.log_axis:
        return value
    return math.log10(value) if value > 0 else None


def make_lines(
    curves: Sequence[Curve],
    names: Sequence[str],
    published: Mapping[str, Sequence[tuple[int, float]]],
    view: ChartView,
) -> list[ChartLine]:
    """Give each curve its letter, colour and pattern.

    Args:
        curves: of one chart.
        names: of all groups of the dashboard, so that a group looks the same in every chart.
        published: condition → published curve.
        view: how charts are drawn.
    """
    slots = series_slots(names)
    lines = []
    for curve in curves:
        place = names.index(curve.name)
        behind = [
            (float(step), drawn)
            for step, value in published.get(curve.condition or "", ())
            if (drawn := transform(value, view)) is not None
        ]
        lines.append(
            ChartLine(
                curve,
                chr(ord("a") + place % 26),
                SERIES_STYLES[slots[curve.name]],
                PATTERNS[place % len(PATTERNS)] if view.no_color else "solid",
                view,
                behind,
            )
        )
    return lines


def list_steps(lines: Sequence[ChartLine]) -> list[int]:
    """Return all steps at which a line has a point."""
    return sorted({point.step for one in lines for point in one.curve.points})


def _vertical_range(lines: Sequence[ChartLine], chosen: str, right: float, view: ChartView) -> tuple[float, float]:
    extents = [one.extent for one in lines if one.extent is not None]
    values = [value for one in extents for value in (one.bottom, one.top)]
    # An interval of a count reaches below zero, where there is nothing to see.
    floor = 0.0 if min(values) >= 0 and not view.log_axis else -math.inf
    for one in lines:
        if one.name == chosen:
            values += [max(floor, edge) for _, low, high in one.band for edge in (low, high)]
        values += [value for at, value in one.published if at <= right]
        values += [max(floor, value) for _, *ends in one.corrected for value in ends[: 3 if one.name == chosen else 1]]
    bounds = find_bounds([(0.0, value) for value in values])
    low, high = max(floor, bounds.bottom), bounds.top  # the bounds of one value are around it
    if not view.log_axis and 0 < low < 0.6 * high:
        low = 0.0
    return low, high


def chart_rows(
    lines: Sequence[ChartLine],
    width: int,
    height: int,
    *,
    chosen: str = "",
    step: float | None = None,
    view: ChartView = ChartView(),  # noqa: B008  (immutable)
) -> list[list[Part]]:
    """Return a chart with its axes, `height` rows of at most `width` cells; none where there is no room.

    Args:
        lines: what to draw.
        width, height: in cells, axes included.
        chosen: name of the group that is drawn last, over the others, and alone has its band.
        step: where the cursor stands.
        view: how the axis is.
    """
    extents = [one.extent for one in lines if one.extent is not None]
    if not extents or height < 3 or width < 14:
        return []
    left, right = min(one.left for one in extents), max(one.right for one in extents)
    only_step = left if left == right else None
    if only_step is not None:
        left, right = left - 0.5, right + 0.5
    ticks = _vertical_ticks(*_vertical_range(lines, chosen, right, view), max(2, min(5, (height - 1) // 3 + 1)), view)
    gap = ticks[1] - ticks[0]
    labels = [_axis_label(tick, gap, view) for tick in ticks]
    margin = max(map(len, labels)) + 1
    canvas = BrailleCanvas(width - margin - 1, height - 1, PlotBounds(left, right, ticks[0], ticks[-1]))
    order = sorted(lines, key=lambda one: one.name == chosen)
    for one in order:
        canvas.line([(at, value) for at, value in one.published if left <= at <= right], "faint", "dotted")
        if one.name == chosen:
            canvas.band(one.band, "faint")
    for one in order:
        for part in one.drawn(left, right, 2 * canvas.width):
            canvas.line(part, one.style, one.pattern)
    for one in order:
        if one.segments:
            xs, ys = one.segments[-1]
            strong: StyleNames = (one.style, "strong")
            canvas.letter(xs[-1], ys[-1], one.letter, strong)
    for one in order:
        for at, mean, *ends in one.corrected:
            if one.name == chosen and len(ends) == 2:
                canvas.line([(at, ends[0]), (at, ends[1])], one.style)
            canvas.letter(at, mean, CORRECTED, (one.style, "strong"))
    marks = {canvas.dot_of(left, tick)[1] // 4: label for tick, label in zip(ticks, labels, strict=True)}
    cursor = None if step is None or not left <= step <= right else canvas.column_of(step)
    rows: list[list[Part]] = []
    for row, parts in enumerate(canvas.rows(cursor)):
        label = marks.get(row)
        head = fit(label or "", margin - 1, right=True)
        rows.append([(head, "dim"), (" ┤" if label is not None else " │", "rule"), *parts])
    rows.append([(" " * margin, ""), ("└", "rule"), (_step_labels(left, right, canvas, only_step), "dim")])
    return rows


def _vertical_ticks(low: float, high: float, most: int, view: ChartView) -> list[float]:
    """Return round ticks; on a logarithmic axis whole powers of ten, where there is more than one."""
    if not view.log_axis or high - low < 1:
        return nice_ticks(low, high, most)
    first, last = math.floor(low), math.ceil(high)
    step = max(1, math.ceil((last - first) / (most - 1)))
    return [float(first + number * step) for number in range(math.ceil((last - first) / step) + 1)]


def _axis_label(tick: float, gap: float, view: ChartView) -> str:
    if not view.log_axis:
        return format_tick(tick, gap)
    value = 10.0**tick
    return f"{value:g}" if 1e-3 <= value < 1e6 and tick == int(tick) else f"{value:.2g}"


def _step_labels(left: float, right: float, canvas: BrailleCanvas, only_step: float | None) -> str:
    """Return the labels of the horizontal axis, each centred below its step, as many as there is room for."""
    ticks = [tick for tick in nice_ticks(left, right, max(2, canvas.width // 9)) if left <= tick <= right]
    gap = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    ends = [left, *(tick for tick in ticks if left < tick < right), right] if only_step is None else [only_step]
    text = [" "] * canvas.width
    placed: list[tuple[int, str]] = []
    for tick in (ends[0], ends[-1], *ends[1:-1]):  # the ends first: the inner ones give way
        label = format_tick(tick, gap if tick not in (left, right, only_step) else 1.0)
        at = canvas.column_of(tick) - len(label) // 2
        at = max(0, min(canvas.width - len(label), at))
        if all(at + len(label) + 1 <= start or at > start + len(other) for start, other in placed):
            placed.append((at, label))
    for at, label in placed:
        text[at : at + len(label)] = label
    return "".join(text[: canvas.width])
