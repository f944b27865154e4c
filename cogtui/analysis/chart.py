"""A line chart as SVG: mean per step of each group, with a band for its interval.

Lines differ by dash, marker and label as well as by colour. A line is broken where a step has no value.
"""

import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

from cogtui.analysis.intervals import MeanEstimate
from cogtui.palette import SERIES, series_slots

_LEFT: Final = 52
_TOP: Final = 28
_BOTTOM: Final = 40
_LEGEND_ROW: Final = 18
_LEGEND_CHARACTERS: Final = 50
"""In a row of names below a small chart."""
_TICKS: Final = 5
_LABEL_GAP: Final = 13.0
_DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[int, MeanEstimate]]
    """(step, mean with interval), in order of the steps."""


class ChartFrame(NamedTuple):
    """The room of a chart, and where the names of its lines stand."""

    width: int
    height: int
    """Without the rows of names below."""
    right: int
    """Room right of the axes."""
    font_size: int = 12
    is_named_below: bool = False
    """Whether names stand in rows below the chart, and letters at the ends of the lines."""


WIDE: Final = ChartFrame(760, 360, 230)
"""For a page or a slide of its own: names stand at the ends of the lines."""
SMALL: Final = ChartFrame(430, 250, 26, font_size=13, is_named_below=True)
"""For several side by side, and for telephones."""


class ChartScale(NamedTuple):
    """The ranges of both axes, which begin at step 0, and the frame they are drawn in."""

    bottom: float
    top: float
    last: int
    frame: ChartFrame


def render_line_chart(title: str, lines: Sequence[ChartSeries], frame: ChartFrame = WIDE) -> str:
    """Render the chart as one `<svg>` element without external references; empty if there are no points."""
    slots = series_slots(line.name for line in lines)
    styled = [
        (line, _LineStyle(slots[line.name], _DASHES[place % len(_DASHES)], _letter(place)))
        for place, line in enumerate(lines)
    ]
    named = styled
    styled = [(line, style) for line, style in styled if line.points]
    lines = [line for line, _ in styled]
    if not lines:
        return ""
    top = nice_ceiling(
        max(found.high if found.high is not None else found.mean for line in lines for _, found in line.points)
    )
    bottom = -nice_ceiling(
        -min(0.0, *(found.low if found.low is not None else found.mean for line in lines for _, found in line.points))
    )
    scale = ChartScale(
        bottom if bottom < -1e-9 and _has_negative(lines) else 0.0,
        top,
        max(step for line in lines for step, _ in line.points) or 1,
        frame,
    )
    legend = _legend(named) if frame.is_named_below else []
    height = frame.height + (_LEGEND_ROW * sum(len(rows) for _, rows in legend) + 6 if legend else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {frame.width} {height}" width="{frame.width}"'
        f' height="{height}" role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif"'
        f' font-size="{frame.font_size}" fill="currentColor">',
        f'<text x="{_LEFT}" y="16" font-weight="600">{escape(title)}</text>',
        *_axes(scale),
    ]
    ends = _spread([_y(line.points[-1][1].mean, scale) for line in lines], frame)
    steps = sorted({step for line in lines for step, _ in line.points})
    for (line, style), end in zip(styled, ends, strict=True):
        parts += _line(line, style, scale, end, steps)
    y = frame.height + 10
    for style, rows in legend:
        parts += _legend_rows(style, rows, y)
        y += _LEGEND_ROW * len(rows)
    return "\n".join([*parts, "</svg>"])


class _LineStyle(NamedTuple):
    slot: int
    dash: str
    letter: str

    @property
    def color(self) -> str:
        # On a page with the app's style sheet the colour follows its scheme; alone the chart is for light paper.
        return f"var(--series-{self.slot}, {SERIES[self.slot].light})"

    @property
    def dashes(self) -> str:
        return f' stroke-dasharray="{self.dash}"' if self.dash else ""


def _letter(place: int) -> str:
    return chr(ord("a") + place % 26)


def _legend(named: Sequence[tuple[ChartSeries, _LineStyle]]) -> list[tuple[_LineStyle, list[str]]]:
    """Return the rows of text of each line: its name, and the last value or that there is none."""
    found = []
    for line, style in named:
        last = f"{line.points[-1][1].mean:.2f}" if line.points else "– no value"
        found.append((style, textwrap.wrap(f"{line.name} {last}", _LEGEND_CHARACTERS)))
    return found


def _legend_rows(style: _LineStyle, rows: Sequence[str], y: float) -> list[str]:
    """Return a line's letter, a sample of it, and its rows of text, from a height on."""
    return [
        f'<text x="{_LEFT - 40}" y="{y + 4}" fill="{style.color}" font-weight="600">{style.letter}</text>',
        f'<line x1="{_LEFT - 26}" y1="{y}" x2="{_LEFT}" y2="{y}" stroke="{style.color}" stroke-width="2"'
        f"{style.dashes}/>",
        *(
            f'<text x="{_LEFT + 8}" y="{y + 4 + _LEGEND_ROW * row}">{escape(text)}</text>'
            for row, text in enumerate(rows)
        ),
    ]


def _has_negative(lines: Sequence[ChartSeries]) -> bool:
    return any(found.mean < 0 for line in lines for _, found in line.points)


def nice_ceiling(value: float) -> float:
    """Return the smallest of 1, 2, 2.5 and 5 times a power of ten that is at least a value; 1 if the value is not
    positive.
    """
    if value <= 0:
        return 1.0
    power = 1.0
    while power > value:
        power /= 10
    while power * 10 < value:
        power *= 10
    return next(factor * power for factor in _NICE if factor * power >= value - 1e-12)


def _axes(scale: ChartScale) -> list[str]:
    frame = scale.frame
    right = frame.width - frame.right
    parts = []
    for tick in range(_TICKS + 1):
        value = scale.bottom + (scale.top - scale.bottom) * tick / _TICKS
        y = _y(value, scale)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="currentColor" opacity="0.15"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for tick in range(_TICKS + 1):
        step = round(scale.last * tick / _TICKS)
        x = _x(step, scale)
        parts.append(f'<text x="{x:.1f}" y="{frame.height - _BOTTOM + 18}" text-anchor="middle">{step}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{frame.height - 6}" text-anchor="middle">training step</text>')
    return parts


def _line(line: ChartSeries, style: _LineStyle, scale: ChartScale, label: float, steps: Sequence[int]) -> list[str]:
    colour, frame = style.color, scale.frame
    parts = []
    for piece in _pieces(line.points, steps):
        banded = [(step, found) for step, found in piece if found.half is not None]
        if banded:
            upper = [(_x(step, scale), _y(min(scale.top, one.mean + (one.half or 0)), scale)) for step, one in banded]
            lower = [
                (_x(step, scale), _y(max(scale.bottom, one.mean - (one.half or 0)), scale)) for step, one in banded
            ]
            parts.append(f'<polygon points="{_path([*upper, *reversed(lower)])}" fill="{colour}" opacity="0.12"/>')
        points = [(_x(step, scale), _y(found.mean, scale)) for step, found in piece]
        parts.append(
            f'<polyline points="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2"{style.dashes}/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    right = frame.width - frame.right + 10
    step, found = line.points[-1]
    x, y = _x(step, scale), _y(found.mean, scale)
    parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{right - 3}" y2="{label:.1f}" stroke="{colour}" opacity="0.5"/>')
    name = style.letter if frame.is_named_below else f"{escape(line.name)} {found.mean:.2f}"
    parts.append(f'<text x="{right}" y="{label + 4:.1f}" fill="{colour}">{name}</text>')
    return parts


def _pieces(points: Sequence[tuple[int, MeanEstimate]], steps: Sequence[int]) -> list[list[tuple[int, MeanEstimate]]]:
    """Return the runs of neighbouring points: a line does not cross a step that has a value in another line only, nor
    twice the usual distance of steps.

    Args:
        points: of one line.
        steps: of all lines, ascending.
    """
    distances = [after - before for before, after in pairwise(steps)]
    usual = statistics.median(distances) if distances else 0
    place = {step: index for index, step in enumerate(steps)}
    pieces: list[list[tuple[int, MeanEstimate]]] = []
    for point in points:
        before = pieces[-1][-1][0] if pieces else None
        if before is None or place[point[0]] - place[before] > 1 or point[0] - before >= 2 * usual:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _spread(wanted: Sequence[float], frame: ChartFrame) -> list[float]:
    """Return label heights as close to the wanted ones as possible, pushed apart so that labels do not overlap."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    heights = list(wanted)
    floor = float(_TOP)
    for place in order:
        heights[place] = floor = max(floor, heights[place])
        floor += _LABEL_GAP
    ceiling = float(frame.height - _BOTTOM)
    for place in reversed(order):
        heights[place] = ceiling = min(ceiling, heights[place])
        ceiling -= _LABEL_GAP
    return heights


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _x(step: int, scale: ChartScale) -> float:
    return _LEFT + (scale.frame.width - scale.frame.right - _LEFT) * step / scale.last


def _y(value: float, scale: ChartScale) -> float:
    room = scale.frame.height - _BOTTOM - _TOP
    return scale.frame.height - _BOTTOM - room * (value - scale.bottom) / (scale.top - scale.bottom)
