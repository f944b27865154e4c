"""A small chart of test accuracy over steps in plain characters: a letter for each condition, no colour needed."""

import math
import string
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from rich.cells import cell_len

from pipelines.text_safety import one_line

PLOT_ROWS: Final = 8
_LABEL_CELLS: Final = 5
_WIDEST: Final = 90
_TICK: Final = 0.05
"""The top of the chart is a multiple of this."""
_BETWEEN: Final = "·"
_SEVERAL: Final = "*"
_MOST_SERIES: Final = len(string.ascii_uppercase)

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""(step, accuracy) in order of the steps, by condition."""


def draw_accuracy_chart(curves: Curves, last_step: int, width: int, rows: int = PLOT_ROWS) -> list[str]:
    """Draw the curves.

    Each evaluation is the letter of its condition, or `*` where several fall on one place; dots join them.

    Args:
        curves: at most 26 are drawn.
        last_step: right end of the axis.
        width: of the terminal, in cells.
        rows: height of the plot without title, axis and legend.

    Returns:
        Lines no wider than `width`; none without any evaluation, or on a terminal too narrow for a chart.
    """
    drawn = {name: points for name, points in list(curves.items())[:_MOST_SERIES] if points}
    across = min(width, _WIDEST) - _LABEL_CELLS - 2
    if not drawn or across < 20 or rows < 3:
        return []
    top = max(1, math.ceil(max(value for points in drawn.values() for _, value in points) / _TICK)) * _TICK
    last = max(last_step, *(step for points in drawn.values() for step, _ in points), 1)
    grid = [[" "] * across for _ in range(rows)]
    for points in drawn.values():
        _join(grid, [_place(point, last, top, across, rows) for point in points])
    for letter, points in zip(string.ascii_uppercase, drawn.values(), strict=False):
        for column, row in (_place(point, last, top, across, rows) for point in points):
            grid[row][column] = letter if grid[row][column] in (" ", _BETWEEN) else _SEVERAL
    labels = {0: top, (rows - 1) // 2: top * (1 - (rows - 1) // 2 / (rows - 1)), rows - 1: 0.0}
    lines = ["accuracy on test problems"]
    for row, cells in enumerate(grid):
        label = f"{labels[row]:.2f}" if row in labels else ""
        lines.append(f"{label:>{_LABEL_CELLS}} ┤{''.join(cells)}".rstrip())
    lines.append(f"{'':{_LABEL_CELLS}} └{'─' * across}")
    steps = f"step {last}"
    lines.append(f"{'':{_LABEL_CELLS + 2}}0{steps:>{across - 1}}")
    return [*lines, *_legend(drawn, width)]


def _place(point: tuple[int, float], last: int, top: float, across: int, rows: int) -> tuple[int, int]:
    step, value = point
    return round(step / last * (across - 1)), round((1 - max(0.0, value) / top) * (rows - 1))


def _join(grid: list[list[str]], places: Sequence[tuple[int, int]]) -> None:
    for (left, start), (right, end) in pairwise(places):
        for column in range(left + 1, right):
            row = round(start + (end - start) * (column - left) / (right - left))
            if column % 2 == 0 and grid[row][column] == " ":
                grid[row][column] = _BETWEEN


def _legend(curves: Curves, width: int) -> list[str]:
    """Return `A none 0.07 → 0.12`, several on a line where they fit."""
    lines: list[str] = []
    for letter, (name, points) in zip(string.ascii_uppercase, curves.items(), strict=False):
        values = f"{points[0][1]:.3f}" + (f" → {points[-1][1]:.3f}" if len(points) > 1 else "")
        room = width - cell_len(values) - 6
        entry = f"{letter} {one_line(name, max(8, room))} {values}"
        if lines and cell_len(lines[-1]) + 4 + cell_len(entry) <= width:
            lines[-1] += f"    {entry}"
        else:
            lines.append(f"  {entry}")
    return lines
