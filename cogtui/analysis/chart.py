"""A line chart as SVG: mean per step of each group, with a band for its interval.

Lines differ by dash, marker and label as well as by colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple

from cogtui.analysis.intervals import MeanEstimate
from cogtui.palette import SERIES, series_slots

_WIDTH: Final = 760
_HEIGHT: Final = 360
_LEFT: Final = 52
_RIGHT: Final = 230
_TOP: Final = 28
_BOTTOM: Final = 40
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


class ChartScale(NamedTuple):
    """The ranges of both axes; steps begin at 0."""

    bottom: float
    top: float
    last: int


def render_line_chart(title: str, lines: Sequence[ChartSeries]) -> str:
    """Render the chart as one `<svg>` element without external references; empty if there are no points."""
    lines = [line for line in lines if line.points]
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
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        f' role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12"'
        ' fill="currentColor">',
        f'<text x="{_LEFT}" y="16" font-weight="600">{escape(title)}</text>',
        *_axes(scale),
    ]
    ends = _spread([_y(line.points[-1][1].mean, scale) for line in lines])
    slots = series_slots(line.name for line in lines)
    for place, line in enumerate(lines):
        parts += _line(place, line, slots[line.name], scale, ends[place])
    return "\n".join([*parts, "</svg>"])


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
    right = _WIDTH - _RIGHT
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
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{step}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">training step</text>')
    return parts


def _line(place: int, line: ChartSeries, slot: int, scale: ChartScale, label: float) -> list[str]:
    # On a page with the app's style sheet the colour follows its scheme; alone the chart is for light paper.
    colour = f"var(--series-{slot}, {SERIES[slot].light})"
    dash = _DASHES[place % len(_DASHES)]
    banded = [(step, found) for step, found in line.points if found.half is not None]
    parts = []
    if banded:
        upper = [(_x(step, scale), _y(min(scale.top, one.mean + (one.half or 0)), scale)) for step, one in banded]
        lower = [(_x(step, scale), _y(max(scale.bottom, one.mean - (one.half or 0)), scale)) for step, one in banded]
        parts.append(f'<polygon points="{_path([*upper, *reversed(lower)])}" fill="{colour}" opacity="0.12"/>')
    points = [(_x(step, scale), _y(found.mean, scale)) for step, found in line.points]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    parts.append(f'<polyline points="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    right = _WIDTH - _RIGHT + 10
    x, y = points[-1]
    parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{right - 3}" y2="{label:.1f}" stroke="{colour}" opacity="0.5"/>')
    mean = line.points[-1][1].mean
    parts.append(f'<text x="{right}" y="{label + 4:.1f}" fill="{colour}">{escape(line.name)} {mean:.2f}</text>')
    return parts


def _spread(wanted: Sequence[float]) -> list[float]:
    """Return label heights as close to the wanted ones as possible, pushed apart so that labels do not overlap."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    heights = list(wanted)
    floor = float(_TOP)
    for place in order:
        heights[place] = floor = max(floor, heights[place])
        floor += _LABEL_GAP
    ceiling = float(_HEIGHT - _BOTTOM)
    for place in reversed(order):
        heights[place] = ceiling = min(ceiling, heights[place])
        ceiling -= _LABEL_GAP
    return heights


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _x(step: int, scale: ChartScale) -> float:
    return _LEFT + (_WIDTH - _RIGHT - _LEFT) * step / scale.last


def _y(value: float, scale: ChartScale) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (value - scale.bottom) / (scale.top - scale.bottom)
