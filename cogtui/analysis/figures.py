"""Curves written to a file: SVG and CSV by ourselves, PNG by matplotlib where that is installed."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cogtui.analysis.chart import ChartSeries, render_line_chart
from cogtui.analysis.curves import Curve
from cogtui.analysis.intervals import MeanEstimate
from cogtui.palette import SERIES, series_slots
from cogtui.store.export.cells import safe_cell
from pipelines.errors import InvalidInput, MissingRequirement

FORMATS: Final = (".svg", ".png", ".csv")
INTERVAL: Final = "95 % interval over seeds, Student's t"


class Figure(NamedTuple):
    """A chart to be written."""

    title: str
    curves: Sequence[Curve]


def export_figure(figure: Figure, path: Path) -> Path:
    """Write a chart in the format that the file's ending names; an existing file is replaced.

    Raises:
        InvalidInput: the ending is none of `FORMATS`, or there is no point to draw.
        MissingRequirement: the file cannot be written, or matplotlib is missing for a PNG.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise InvalidInput(f"{path.name} ends in none of {', '.join(FORMATS)}", remedy="Name the file curves.svg.")
    if not any(curve.points for curve in figure.curves):
        raise InvalidInput(f"{figure.title} has no point yet")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")  # nobody can put a link there
        if ending == ".png":
            _write_png(figure, aside)
        else:
            text = figure_svg(figure) if ending == ".svg" else figure_csv(figure)
            aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise MissingRequirement(
            f"{path} cannot be written: {error.strerror}", remedy="Name a file in another folder."
        ) from error
    return path


def figure_svg(figure: Figure) -> str:
    """Return the chart as SVG."""
    lines = [
        ChartSeries(
            curve.name,
            [
                (
                    point.step,
                    MeanEstimate(point.mean, None if point.high is None else point.high - point.mean, point.seeds),
                )
                for point in curve.points
            ],
        )
        for curve in figure.curves
    ]
    return render_line_chart(f"{figure.title} ({INTERVAL})", lines)


def figure_csv(figure: Figure) -> str:
    """Return the points as CSV: group, step, mean, low, high, seeds, n."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("measure", "group", "step", "mean", "low", "high", "seeds", "n"))
    for curve in figure.curves:
        for point in curve.points:
            ends = ["" if edge is None else repr(edge) for edge in (point.low, point.high)]
            names = (safe_cell(figure.title), safe_cell(curve.name))
            writer.writerow((*names, point.step, repr(point.mean), *ends, point.seeds, point.n))
    return text.getvalue()


def _write_png(figure: Figure, path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingRequirement(
            "a PNG needs matplotlib", remedy="Run: pip install 'cogtui[plots]', or choose .svg."
        ) from error
    slots = series_slots(curve.name for curve in figure.curves)
    canvas = Canvas(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    dashes = ("-", "--", ":", "-.")
    for place, curve in enumerate(figure.curves):
        color = SERIES[slots[curve.name]].light
        steps = [point.step for point in curve.points]
        axes.plot(steps, [one.mean for one in curve.points], dashes[place % 4], color=color, label=_plain(curve.name))
        banded = [point for point in curve.points if point.low is not None and point.high is not None]
        axes.fill_between(
            [point.step for point in banded],
            [point.low or 0.0 for point in banded],
            [point.high or 0.0 for point in banded],
            color=color,
            alpha=0.15,
            linewidth=0,
        )
    axes.set_title(_plain(figure.title))
    axes.set_xlabel(f"training step; bands: {INTERVAL}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    canvas.savefig(path, format="png")


def _plain(text: str) -> str:
    """Keep matplotlib from reading `$` as mathematics."""
    return text.replace("$", r"\$")
