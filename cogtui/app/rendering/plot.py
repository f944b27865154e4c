"""Curves in braille characters of 2 × 4 dots: lines over bands, gaps left open."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, cast

from cogtui.app.rendering.styles import Part, StyleName, StyleNames

Pattern = Literal["solid", "dashed", "dotted", "sparse"]
PATTERNS: Final[tuple[Pattern, ...]] = ("solid", "dashed", "dotted", "sparse")
SWATCHES: Final[dict[Pattern, str]] = {"solid": "━━━", "dashed": "━ ━", "dotted": "┅┅┅", "sparse": "┄ ┄"}

_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character by dot column and by row from the top."""

_PERIOD: Final[dict[Pattern, int]] = {"solid": 1, "dashed": 6, "dotted": 3, "sparse": 6}
_STROKE: Final[dict[Pattern, int]] = {"solid": 1, "dashed": 4, "dotted": 1, "sparse": 2}
"""Number of dot columns of each period that a line fills."""

XY = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlotBounds:
    """The visible part of the plane."""

    left: float
    right: float
    bottom: float
    top: float


def find_bounds(points: Iterable[XY], *, from_zero: bool = False) -> PlotBounds:
    """Return bounds that contain all finite points, widened where they would have no extent."""
    finite = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return PlotBounds(0.0, 1.0, 0.0, 1.0)
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    left, right = min(xs), max(xs)
    bottom, top = min(ys), max(ys)
    if from_zero:
        bottom = min(bottom, 0.0)
    if left == right:
        left, right = left - 0.5, right + 0.5
    if bottom == top:
        bottom, top = bottom - 0.5, top + 0.5
    return PlotBounds(left, right, bottom, top)


class BrailleCanvas:
    """A grid of braille cells to draw in.

    Args:
        width, height: in cells.
        bounds: what the field shows; what lies outside is left out.
    """

    def __init__(self, width: int, height: int, bounds: PlotBounds) -> None:
        self.width, self.height = max(1, width), max(1, height)
        self.bounds = bounds
        self._bits = [[0] * self.width for _ in range(self.height)]
        self._cell_styles: list[list[StyleNames]] = [[""] * self.width for _ in range(self.height)]
        self._letters: dict[tuple[int, int], tuple[str, StyleNames]] = {}

    def dot_of(self, x: float, y: float) -> tuple[int, int]:
        """Return the dot column and the row from the top of a point; may be outside the grid."""
        across = (x - self.bounds.left) / (self.bounds.right - self.bounds.left)
        up = (y - self.bounds.bottom) / (self.bounds.top - self.bounds.bottom)
        return round(across * (2 * self.width - 1)), round((1 - up) * (4 * self.height - 1))

    def column_of(self, x: float) -> int:
        """Return the cell column of a value of x."""
        return min(self.width - 1, max(0, self.dot_of(x, self.bounds.bottom)[0] // 2))

    def line(self, points: Sequence[XY], style: StyleName, pattern: Pattern = "solid") -> None:
        """Join points by straight lines; a point that is not finite leaves a gap.

        Several points in one dot column become one stroke from the lowest to the highest, so that no peak is lost.
        """
        previous: tuple[int, int] | None = None
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                previous = None
                continue
            dot = self.dot_of(x, y)
            for column, row in _line_dots(previous, dot):
                if column % _PERIOD[pattern] < _STROKE[pattern]:
                    self._set(column, row, style)
            previous = dot

    def band(self, edges: Sequence[tuple[float, float, float]], style: StyleName) -> None:
        """Shade between (x, low, high) sparsely, so that lines and other bands stay visible."""
        for (x0, low0, high0), (x1, low1, high1) in pairwise(edges):
            first, last = self.dot_of(x0, low0)[0], self.dot_of(x1, low1)[0]
            for column in range(first, last + 1):
                share = (column - first) / (last - first) if last > first else 0.0
                low = self.dot_of(x0, low0 + share * (low1 - low0))[1]
                high = self.dot_of(x0, high0 + share * (high1 - high0))[1]
                for row in range(max(0, high), min(4 * self.height - 1, low) + 1):
                    if (column + row) % 4 == 0:
                        self._set(column, row, style)

    def letter(self, x: float, y: float, letter: str, style: StyleNames) -> None:
        """Put a letter into the cell of a point, if it is inside the grid."""
        column, row = self.dot_of(x, y)
        if 0 <= column < 2 * self.width and 0 <= row < 4 * self.height:
            self._letters[row // 4, column // 2] = (letter, style)

    def rows(self, cursor: int | None = None) -> list[list[Part]]:
        """Return the lines of the grid as parts.

        Args:
            cursor: a cell column to mark from top to bottom.
        """
        drawn: list[list[Part]] = []
        for row in range(self.height):
            parts: list[Part] = []
            run, style_of_run = "", cast("StyleNames", "")
            for column in range(self.width):
                bits, style = self._bits[row][column], self._cell_styles[row][column]
                text = chr(0x2800 + bits) if bits else " "
                if (row, column) in self._letters:
                    text, style = self._letters[row, column]
                if column == cursor:
                    style_names: tuple[StyleName, ...] = (style,) if isinstance(style, str) else style
                    text, style = ("│" if text == " " else text), (*style_names, "cursor-blurred")
                if style != style_of_run and run:
                    parts.append((run, style_of_run))
                    run = ""
                run, style_of_run = run + text, style
            parts.append((run, style_of_run))
            drawn.append(parts)
        return drawn

    def _set(self, column: int, row: int, style: StyleName) -> None:
        if 0 <= column < 2 * self.width and 0 <= row < 4 * self.height:
            self._bits[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
            self._cell_styles[row // 4][column // 2] = style


def _line_dots(start: tuple[int, int] | None, end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """Return the dots of a straight line without its start, which is drawn already."""
    if start is None:
        return [end]
    (x0, y0), (x1, y1) = start, end
    if x0 == x1:  # most of a noisy line of many points
        return [(x1, y) for y in (range(y0, y1 + 1) if y1 >= y0 else range(y0, y1 - 1, -1))]
    steps = max(abs(x1 - x0), abs(y1 - y0))
    return [
        (x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)) for step in range(1, steps + 1)
    ]


def format_number(value: float) -> str:
    """Format a number for an axis or a legend: `0.42`, `7.5`, `350`, `12k`."""
    size = abs(value)
    if size >= 100_000:
        return f"{value / 1000:.0f}k"
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` round values that cover a range: multiples of 1, 2, 2.5 or 5 times a power of ten.

    The first is at most `low` and the last at least `high`, so that a chart between them has room for every point.
    """
    span = high - low
    if not (math.isfinite(low) and math.isfinite(high)) or span <= 0 or most < 2:
        return [low, high]
    power = 10.0 ** math.floor(math.log10(span / (most - 1)))
    for factor in (1, 2, 2.5, 5, 10, 20, 25, 50):
        step = factor * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first + 1 <= most:
            return [number * step for number in range(first, last + 1)]
    return [low, high]


def format_tick(value: float, step: float) -> str:
    """Format a tick with as many decimals as its distance to the next one needs: `0.4`, `100`, `12k`."""
    if abs(value) < step * 1e-6:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    if abs(step * 10**decimals - round(step * 10**decimals)) > 1e-6:
        decimals += 1  # 2.5 times a power of ten
    return f"{value:.{min(decimals, 6)}f}" if decimals <= 4 else f"{value:.1e}"


def decimate(xs: Sequence[float], ys: Sequence[float], left: float, right: float, columns: int) -> list[XY]:
    """Reduce a line to what differs on screen: of each column the first, the lowest, the highest and the last point.

    Args:
        xs: ascending.
        ys: finite.
        left, right: the visible range.
        columns: dot columns.
    """
    if len(xs) <= 4 * columns or right <= left:
        return list(zip(xs, ys, strict=True))
    kept: list[XY] = []
    width = (right - left) / columns
    start = bisect_left(xs, left)
    for column in range(columns):
        end = bisect_left(xs, left + (column + 1) * width, start) if column < columns - 1 else bisect_right(xs, right)
        if end > start:
            part = ys[start:end]
            low, high, x = min(part), max(part), xs[start]
            kept.append((x, part[0]))
            if low < part[0] or high > part[0]:
                # Which comes first does not show within one column of dots.
                kept += [(x, low), (x, high), (x, part[-1])]
            start = end
    return kept
