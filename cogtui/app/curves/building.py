"""Builds the charts of the dashboard from what was read; runs in a thread, since long curves take a moment."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cogtui.analysis.curve_corrections import LabelledRollout, correct_curves
from cogtui.analysis.curves import Curve, Places, build_curves, build_metric_curves
from cogtui.analysis.measures import ROLLOUTS, ChartMeasure
from cogtui.analysis.reference import published_curve
from cogtui.app.curves.chart import ChartView, make_lines
from cogtui.app.curves.chart_grid import Chart
from cogtui.store.values.types import MetricStep, StepSummary
from pipelines.behaviors.sets.registered import BEHAVIORS


class ChartRequest(NamedTuple):
    """What to draw."""

    measures: Sequence[ChartMeasure]
    summaries: Sequence[StepSummary]
    rows: Mapping[tuple[str, str], Sequence[MetricStep]]
    """(stream, name) → its steps in all stages."""
    places: Places
    by_condition: bool
    """Whether no experiment is known, so that rollouts are grouped by condition alone."""
    split: str
    published: str
    """The model whose published curves stand behind; empty for none."""
    view: ChartView
    labelled: Sequence[LabelledRollout] = ()
    """Rollouts that people labelled: points of behaviours are corrected by them."""


class BuiltCharts(NamedTuple):
    """The charts that have a point, and the names of all their groups in the order of their letters."""

    charts: list[Chart]
    names: list[str]


def build_charts(request: ChartRequest) -> BuiltCharts:
    """Build the charts; measures without a point have none."""
    found = [(measure, curves) for measure in request.measures if (curves := _curves(request, measure))]
    groups = [place.group for place in request.places.values()]
    order = {group: place for place, group in reversed(list(enumerate(groups)))}
    names = sorted({curve.name for _, curves in found for curve in curves})
    names.sort(key=lambda name: order.get(name, len(order)))
    conditions = {curve.condition for _, curves in found for curve in curves if curve.condition}
    charts = []
    for measure, curves in found:
        behind = {
            condition: published_curve(request.published, condition, measure.name)
            for condition in conditions
            if request.published
        }
        title = measure.title if measure.source != ROLLOUTS else f"{measure.title}, {request.split}"
        lines = make_lines(curves, names, behind, request.view)
        for line in lines:
            _ = line.segments, line.extent, line.band  # computed here and not at the first paint
        charts.append(Chart(measure.key, title, lines))
    return BuiltCharts(charts, names)


def _curves(request: ChartRequest, measure: ChartMeasure) -> list[Curve]:
    if measure.source != ROLLOUTS:
        rows = request.rows.get((measure.source, measure.name), ())
        return build_metric_curves(rows, measure.source, measure.name, request.places)
    places = None if request.by_condition else request.places
    built = build_curves(request.summaries, measure.name, places)
    shown = [curve for curve in built if curve.split == request.split]
    if request.labelled and measure.name in BEHAVIORS:
        return correct_curves(shown, request.summaries, request.labelled, places)
    return shown
